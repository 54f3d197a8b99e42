"""The changelogs have the form of Keep a Changelog 1.1.0."""

import re
from datetime import date

import pytest
from labs import ROOT
from labs.versions import NAMES, VERSION

KINDS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
ORDER = NAMES["_order"]


def faults(text):
    """What a changelog does not keep to."""
    found = []
    head, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    if not head.startswith("# Changelog\n\n") or "keepachangelog.com/en/1.1.0/" not in head:
        found.append("the head names no form")
    titles = [section.partition("\n")[0] for section in sections]
    if titles[:1] != ["[Unreleased]"]:
        found.append("the first section is not [Unreleased]")
    released = [re.fullmatch(r"\[(\d+\.\d+\.\d+(?:rc\d+)?)\] - (\d{4}-\d\d-\d\d)", title) for title in titles[1:]]
    if not all(released) or not released:
        return [*found, f"a section is no version with its day: {titles[1:]}"]
    numbers = [ORDER(one[1]) for one in released]
    days = [date.fromisoformat(one[2]) for one in released]
    if numbers != sorted(set(numbers), reverse=True) or days != sorted(days, reverse=True):
        found.append("the newest version does not come first")
    for title, section in zip(titles, sections, strict=True):
        found += [f"{title}: {fault}" for fault in _section(section.partition("\n")[2], title)]
    return found


def _section(body, title):
    found = []
    start, *parts = re.split(r"^### ", body, flags=re.MULTILINE)
    if start.strip() not in ("", "Nothing changed in this package."):
        found.append("text without a kind of change")
    if not parts and not start.strip() and title != "[Unreleased]":
        found.append("is empty")
    kinds = [part.partition("\n")[0] for part in parts]
    if not set(kinds) <= set(KINDS) or kinds != sorted(set(kinds), key=[*KINDS, *kinds].index):
        found.append(f"kinds of change are {kinds}")
    for part in parts:
        lines = [line for line in part.partition("\n")[2].splitlines() if line]
        if not lines or not lines[0].startswith("- ") or any(line[:2] not in ("- ", "  ") for line in lines):
            found.append("something is no entry of a list")
    return found


@pytest.mark.parametrize("name", NAMES["CHANGELOGS"])
def test_a_changelog_has_its_form_and_its_newest_version_is_the_package_s(name):
    text = (ROOT / name).read_text()
    assert faults(text) == []
    assert re.findall(r"^## \[(\d.*?)\]", text, re.MULTILINE)[0] == VERSION


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("# Changelog\n", "# History\n", "the head"),
        ("## [Unreleased]", "## Unreleased", "the first section"),
        (" - 2026-01-02", "", "no version with its day"),
        ("[0.2.0] - 2026-01-02", "[0.0.9] - 2026-01-02", "the newest version"),
        ("[0.2.0] - 2026-01-02", "[0.1.0] - 2026-01-02", "the newest version"),
        ("[0.2.0] - 2026-01-02", "[0.2.0] - 2025-01-02", "the newest version"),
        ("### Fixed", "### Bugs", "kinds of change"),
        ("- What was wrong.", "What was wrong.", "no entry"),
        ("### Fixed\n\n- What was wrong.\n", "", "is empty"),
        ("### Fixed\n", "Much.\n\n### Fixed\n", "text without a kind"),
        ("### Fixed\n\n- W", "### Fixed\n\n- One.\n\n### Added\n\n- W", "kinds of change"),
    ],
)
def test_a_slip_is_found(old, new, fault):
    right = (
        "# Changelog\n\nAs https://keepachangelog.com/en/1.1.0/ says.\n\n## [Unreleased]\n\n"
        "## [0.2.0] - 2026-01-02\n\n### Fixed\n\n- What was wrong.\n\n"
        "## [0.1.0] - 2026-01-01\n\n### Added\n\n- All.\n"
    )
    assert faults(right) == []
    assert old in right
    assert any(fault in one for one in faults(right.replace(old, new, 1)))
