"""Secrets of the compose file: ``python docker/compose/generate_secrets.py generate|check FOLDER``.

Each is a file below a folder that only its owner enters. The files themselves can be read by all, since the users
in the containers are others than the one who starts them.
"""

import base64
import secrets
import sys
from pathlib import Path

import yaml

COMPOSE_FILE = Path(__file__).resolve().parents[2] / "docker-compose.yml"


def names() -> list[str]:
    """The secrets that the compose file names."""
    return sorted(yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8"))["secrets"])


def generate(folder: Path) -> list[str]:
    """Write each secret that is missing; return their names. One that is there is kept."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    missing = _missing(folder)
    for name in missing:
        key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        path = folder / name
        path.write_text(key if name.endswith("fernet_key") else secrets.token_hex(24), encoding="ascii")
        path.chmod(0o444)
    return missing


def check(folder: Path) -> None:
    """Check that every secret is there.

    Raises:
        SystemExit: If one is missing or empty; all of them at once, by name.
    """
    missing = _missing(folder)
    if missing:
        raise SystemExit(
            f"Secrets that are missing or empty in {folder}: {', '.join(missing)}. "
            "Generate them with `make compose-secrets`, or write each to a file of that name."
        )


def _missing(folder: Path) -> list[str]:
    return [name for name in names() if not (folder / name).is_file() or not (folder / name).read_text().strip()]


def main(arguments: list[str]) -> None:
    """Do what the command line says."""
    match arguments:
        case ["generate", folder]:
            sys.stdout.write(f"generated {len(generate(Path(folder)))} secrets in {folder}\n")
        case ["check", folder]:
            check(Path(folder))
        case _:
            raise SystemExit(str(__doc__).splitlines()[0])


if __name__ == "__main__":
    main(sys.argv[1:])
