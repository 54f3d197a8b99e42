"""Install a Chromium for the tests where there is none and that is possible.

`python tests/platforms/browser/chromium.py` installs one with apt, as root on Debian, and prints its path.
"""

import os
import shutil
import subprocess
import sys

from zenml_mlops.cli.chromium import NoBrowserError, find_chromium


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
