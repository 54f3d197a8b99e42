"""Fill secrets that lie in files into the environment, then become the command.

A variable such as ``postgresql://airflow:{secret:postgres_password}@postgres/airflow`` gets the content of
``/run/secrets/postgres_password``; in a URL it is quoted. So a secret stands in no image, in no compose file and
in nothing that the engine shows of a container. It runs before everything else and needs the standard library
alone.
"""

import os
import re
import sys
from pathlib import Path
from urllib.parse import quote

FOLDER = Path(os.environ.get("SECRETS_FOLDER", "/run/secrets"))
PLACE = re.compile(r"\{secret:([a-z0-9_]+)\}")


def fill_in(environment: dict[str, str], folder: Path) -> dict[str, str]:
    """Return the variables that name secrets, with the secrets in them.

    Raises:
        SystemExit: If a secret is missing or empty; all of them at once, by name.
    """
    wanted = {name for value in environment.values() for name in PLACE.findall(value)}
    secrets = {name: _content(folder / name) for name in wanted}
    missing = sorted(name for name, content in secrets.items() if not content)
    if missing:
        raise SystemExit(
            f"Secrets that are missing or empty: {', '.join(missing)}. Each is a file of that name in {folder}; "
            "`make compose-secrets` generates those of the compose file."
        )

    def filled(value: str) -> str:
        in_url = "://" in value
        return PLACE.sub(lambda match: _quoted(secrets[match[1]], in_url=in_url), value)

    return {name: filled(value) for name, value in environment.items() if PLACE.search(value)}


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, IsADirectoryError):
        return ""


def _quoted(secret: str, *, in_url: bool) -> str:
    return quote(secret, safe="") if in_url else secret


def main() -> None:
    """Become the command that the arguments name."""
    command = sys.argv[1:]
    if not command:
        raise SystemExit("Name the command to run.")
    os.environ.update(fill_in(dict(os.environ), FOLDER))
    try:
        os.execvp(command[0], command)
    except FileNotFoundError:
        raise SystemExit(f"There is no program {command[0]!r} in this image.") from None


if __name__ == "__main__":
    main()
