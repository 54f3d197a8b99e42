"""The one version of both packages: where it stands, whether all places agree, and the change to another one.

``version.py`` prints it, ``version.py check [TAG]`` compares every place with it and with a Git tag, and
``version.py set V`` changes it; ``make version V=...`` also renews the lock. It stands in each ``pyproject.toml``
as plain text: that is what uv locks without building a package, what Dependabot reads, and what a source
distribution carries by itself.
"""

import argparse
import re
import sys
from datetime import UTC, date, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = "packages/zenml_airflow/pyproject.toml"
"""The place that the others are compared with."""
CHANGELOGS = ("packages/zenml_airflow/CHANGELOG.md", "packages/zenml_mlops/CHANGELOG.md")
UNRELEASED = "## [Unreleased]"
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(rc[1-9]\d*)?")
_PROJECT = r'^version = "(.+)"$'
PLACES = (
    (SOURCE, _PROJECT),
    ("packages/zenml_mlops/pyproject.toml", _PROJECT),
    ("packages/zenml_mlops/pyproject.toml", r'^    "airflow-provider-zenml\[zenml\]==(.+)",$'),
    ("pyproject.toml", _PROJECT),
    ("docker/kubernetes/values.yaml", r'^    tag: "(.+)"$'),
)
"""What ``set`` writes: a file, and a line of it with the version."""
LOCKED = ("airflow-provider-zenml", "zenml-airflow-mlops", "zenml-on-airflow")
"""Packages whose version uv writes into ``uv.lock``."""


class VersionError(ValueError):
    """A version that cannot be taken, or places that disagree. The message says what to change."""


def found() -> dict[str, str]:
    """The version at every place, by a name of the place."""
    read = {}
    for path, pattern in PLACES:
        read[f"{path}, {pattern}"] = _only(path, pattern)
    for name in LOCKED:
        read[f"uv.lock, {name}"] = _only("uv.lock", rf'^name = "{name}"\nversion = "(.+)"$')
    for path in CHANGELOGS:
        sections = re.findall(r"^## \[(\d.*?)\]", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
        read[f"{path}, newest section"] = sections[0] if sections else "none"
    return read


def check(tag: str | None) -> None:
    """Compare every place with the first one, and the tag with both.

    Raises:
        VersionError: If they are not the same; it names every place that differs.
    """
    version = _only(SOURCE, _PROJECT)
    wrong = [f"{place}: {other}" for place, other in found().items() if other != version]
    if tag is not None and tag != f"v{version}":
        wrong.append(f"the tag: {tag}")
    if wrong:
        raise VersionError(
            f"{SOURCE} has the version {version}, and these differ:\n"
            + "\n".join(f"  {one}" for one in wrong)
            + "\nRun `make version V=...`, which changes all of them, and tag that commit with v and the version."
        )


def change(version: str, today: date) -> None:
    """Write a version to every place but the lock; what is unreleased becomes its section of the changelogs.

    Raises:
        VersionError: If it is no version, is not a later one, or no changelog says what is new.
    """
    if not _VERSION.fullmatch(version):
        raise VersionError(f"V is {version!r}: name a version such as 0.2.0 or 0.2.0rc1.")
    old = _only(SOURCE, _PROJECT)
    if _order(version) <= _order(old):
        raise VersionError(f"V is {version}, which does not follow {old}.")
    texts = {path: (ROOT / path).read_text(encoding="utf-8") for path in CHANGELOGS}
    changes = {path: text.partition(UNRELEASED)[2].partition("\n## ")[0].strip() for path, text in texts.items()}
    if not any(changes.values()):
        raise VersionError(
            f"Nothing stands under {UNRELEASED!r} in {' or '.join(CHANGELOGS)}: say what is new first."
        )
    for path, text in texts.items():
        section = f"{UNRELEASED}\n\n## [{version}] - {today.isoformat()}"
        if not changes[path]:
            section += "\n\nNothing changed in this package."
        (ROOT / path).write_text(text.replace(UNRELEASED, section, 1), encoding="utf-8")
    for path, pattern in PLACES:
        text = (ROOT / path).read_text(encoding="utf-8")
        start, end = _match(path, text, pattern).span(1)
        (ROOT / path).write_text(text[:start] + version + text[end:], encoding="utf-8")


def _order(version: str) -> tuple[int, int, int, float]:
    """What versions are sorted by: a release candidate comes before its release."""
    match = _VERSION.fullmatch(version)
    if match is None:
        raise VersionError(f"{SOURCE} has the version {version!r}, which is none: write one such as 0.2.0.")
    major, minor, patch, candidate = match.groups()
    return int(major), int(minor), int(patch), float(candidate[2:]) if candidate else float("inf")


def _only(path: str, pattern: str) -> str:
    return _match(path, (ROOT / path).read_text(encoding="utf-8"), pattern)[1]


def _match(path: str, text: str, pattern: str) -> re.Match[str]:
    matches = list(re.finditer(pattern, text, re.MULTILINE))
    if len(matches) != 1:
        raise VersionError(f"{path} has {len(matches)} lines like {pattern!r}; one is needed.")
    return matches[0]


def main() -> int:
    """Run the command; a failure is a sentence on stderr."""
    parser = argparse.ArgumentParser(description="The one version of both packages.")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("check", help="compare every place, and a tag").add_argument("tag", nargs="?")
    commands.add_parser("set", help="write another version").add_argument("version")
    options = parser.parse_args()
    try:
        if options.command == "check":
            check(options.tag)
        elif options.command == "set":
            change(options.version, datetime.now(UTC).date())
        sys.stdout.write(_only(SOURCE, _PROJECT) + "\n")
    except VersionError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
