"""How a failed validation reads in an error message."""

from __future__ import annotations

from pydantic import ValidationError


def describe(error: ValidationError, whole: str) -> str:
    """List every problem of a failed validation as ``field: reason``.

    Args:
        whole: What stands in place of a field where a problem is of the whole.
    """
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or whole}: {item['msg']}" for item in error.errors()
    )
