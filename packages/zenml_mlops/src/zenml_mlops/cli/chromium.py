"""A Chromium that is driven without a window: found, and asked to print a page."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

NAMES: Final = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
"""Chromium's sandbox needs a kernel feature that containers lack; it opens only pages that this project wrote."""
_USUAL: Final = Path("/usr/bin/chromium")


class NoBrowserError(RuntimeError):
    """There is no Chromium to drive."""


def find_chromium() -> str:
    """Path of the program that ``CHROMIUM`` names, or of the first one found.

    Raises:
        NoBrowserError: If there is none.
    """
    if named := os.environ.get("CHROMIUM"):
        found = shutil.which(named)
        if found is None:
            raise NoBrowserError(f"CHROMIUM names {named!r}, which is no program.")
        return found
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and _USUAL.is_file():
        found = str(_USUAL)
    if found is None:
        raise NoBrowserError(f"No Chromium: none of {', '.join(NAMES)} is in PATH. Install one, or set CHROMIUM.")
    return found


def print_to_pdf(page: Path, target: Path) -> None:
    """Print a page to a PDF file.

    Args:
        page: An HTML file that needs no other file.

    Raises:
        NoBrowserError: If there is no Chromium.
        RuntimeError: If it did not print.
    """
    program = find_chromium()
    with tempfile.TemporaryDirectory() as profile:
        command = [
            program,
            "--headless",
            *FLAGS,
            f"--user-data-dir={profile}",
            "--no-pdf-header-footer",
            f"--print-to-pdf={target.resolve()}",
            page.resolve().as_uri(),
        ]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if ended.returncode != 0 or not target.is_file():
        last = ended.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise RuntimeError(f"{program} did not print {page}: {last[0]}")
