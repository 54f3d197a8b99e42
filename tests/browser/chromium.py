"""The Chromium that the tests drive: found, or installed where that is possible.

`python tests/browser/chromium.py` installs one with apt if there is none, as root on Debian, and prints its path.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
USUAL = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class NoBrowserError(RuntimeError):
    """There is no Chromium to drive."""


def find_chromium():
    named = os.environ.get("CHROMIUM")
    if named:
        found = shutil.which(named)
        if found is None:
            raise NoBrowserError(f"CHROMIUM names {named!r}, which is no program.")
        return found
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None and USUAL.is_file():
        found = str(USUAL)
    if found is None:
        raise NoBrowserError(f"No Chromium: none of {', '.join(NAMES)} is in PATH. Install one, or set CHROMIUM.")
    return found


def install_chromium():
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise NoBrowserError(
            "No Chromium, and only root with apt-get can install it: install one, or set CHROMIUM."
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = [apt, "install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core"]
    for command in ([apt, "update", "-qq"], install):
        subprocess.run(command, env=environment, stdout=sys.stderr, check=True)
    return find_chromium()


if __name__ == "__main__":
    try:
        print(find_chromium())
    except NoBrowserError as reason:
        if os.environ.get("CHROMIUM"):
            sys.exit(f"Error: {reason}")
        try:
            print(install_chromium())
        except (NoBrowserError, subprocess.CalledProcessError) as problem:
            if os.environ.get("REQUIRE_SERVICES") == "1":
                sys.exit(f"Error: {problem}")
            print(f"{problem} The tests will be skipped.", file=sys.stderr)
