"""How commands print JSON for programs."""

from __future__ import annotations

import json
import sys
from typing import Any


def print_json(content: Any) -> None:
    """Write one JSON document to the standard output; what JSON has no form for becomes text."""
    sys.stdout.write(json.dumps(content, indent=2, default=str) + "\n")
