"""One version, at every place where it stands: what compares the places, and what changes them."""

import re
import tomllib

import pytest
from labs import ROOT, versions
from labs.versions import NAMES, VERSION, copied, run

LATER = "99.0.0"
DAY = re.compile(r"\d{4}-\d\d-\d\d")


@pytest.fixture
def copy(tmp_path):
    return copied(tmp_path)


def replace(path, old, new, count=-1):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


def unreleased(folder, package, text):
    """Replace what stands in a changelog under Unreleased."""
    path = folder / "packages" / package / "CHANGELOG.md"
    head, _, rest = path.read_text().partition("## [Unreleased]")
    path.write_text(f"{head}## [Unreleased]\n\n{text}\n\n## {rest.partition(f'{chr(10)}## ')[2]}")


def test_every_place_has_the_one_version_and_so_has_its_tag():
    assert run(ROOT, "check") == run(ROOT, "check", f"v{VERSION}") == run(ROOT) == f"{VERSION}\n"


def test_a_tag_of_another_version_is_refused():
    for tag in ("v9.9.9", VERSION):
        assert f"the tag: {tag}" in run(ROOT, "check", tag, code=1)


@pytest.mark.parametrize(
    ("name", "old"),
    [
        ("packages/zenml_mlops/pyproject.toml", f'version = "{VERSION}"'),
        ("packages/zenml_mlops/pyproject.toml", f"[zenml]=={VERSION}"),
        ("pyproject.toml", f'version = "{VERSION}"'),
        ("docker/kubernetes/values.yaml", f'tag: "{VERSION}"'),
        ("uv.lock", f'name = "zenml-airflow-mlops"\nversion = "{VERSION}"'),
        ("packages/zenml_airflow/CHANGELOG.md", f"[{VERSION}]"),
        ("packages/zenml_mlops/CHANGELOG.md", f"[{VERSION}]"),
    ],
)
def test_a_place_that_differs_is_named(copy, name, old):
    replace(copy / name, old, old.replace(VERSION, LATER), 1)
    said = run(copy, "check", code=1)
    assert f"  {name}, " in said
    assert said.count(LATER) == 1


def test_a_place_that_is_gone_is_named(copy):
    replace(copy / "docker/kubernetes/values.yaml", "    tag: ", "    label: ")
    assert "docker/kubernetes/values.yaml has 0 lines like" in run(copy, "check", code=1)


def test_a_change_reaches_every_place_but_the_lock_which_uv_writes(copy):
    unreleased(copy, "zenml_airflow", "### Fixed\n\n- What was wrong.")
    unreleased(copy, "zenml_mlops", "")
    assert run(copy, "set", LATER) == f"{LATER}\n"
    differ = re.findall(r"^  ([^,\n]*), ", run(copy, "check", code=1), re.MULTILINE)
    assert differ == ["uv.lock"] * 3
    for name in NAMES["LOCKED"]:
        replace(
            copy / "uv.lock", f'name = "{name}"\nversion = "{VERSION}"', f'name = "{name}"\nversion = "{LATER}"'
        )
    run(copy, "check", f"v{LATER}")
    bridge, platform = ((copy / name).read_text() for name in NAMES["CHANGELOGS"])
    section = rf"## \[Unreleased\]\n\n## \[{LATER}\] - {DAY.pattern}\n\n"
    assert re.search(section + r"### Fixed\n\n- What was wrong\.\n", bridge)
    assert re.search(section + r"Nothing changed in this package\.\n", platform)
    assert f"## [{VERSION}]" in bridge


@pytest.mark.parametrize(
    ("version", "advice"),
    [
        (VERSION, "does not follow"),
        (f"{VERSION}rc1", "does not follow"),
        ("0.0.1", "does not follow"),
        ("", "name a version such as"),
        (f"v{LATER}", "name a version such as"),
        ("99.0", "name a version such as"),
        ("99.0.0.dev1", "name a version such as"),
    ],
)
def test_what_is_no_later_version_is_refused_and_changes_nothing(copy, version, advice):
    before = {name: (copy / name).read_text() for name in versions.FILES}
    assert advice in run(copy, "set", version, code=1)
    assert {name: (copy / name).read_text() for name in versions.FILES} == before


def test_a_version_in_which_nothing_is_new_is_refused(copy):
    for package in ("zenml_airflow", "zenml_mlops"):
        unreleased(copy, package, "")
    assert "say what is new first" in run(copy, "set", LATER, code=1)


def test_candidates_come_before_their_version():
    order = NAMES["_order"]
    assert sorted(["1.0.0", "1.0.0rc2", "0.10.0", "0.9.1", "1.0.0rc10"], key=order) == [
        "0.9.1",
        "0.10.0",
        "1.0.0rc2",
        "1.0.0rc10",
        "1.0.0",
    ]


def test_a_package_can_be_built_where_the_other_one_is_not():
    """A source distribution carries its version and its requirements, and names no workspace."""
    for name in ("zenml_airflow", "zenml_mlops"):
        content = tomllib.loads((ROOT / "packages" / name / "pyproject.toml").read_text())
        assert "dynamic" not in content["project"]
        assert "uv" not in content["tool"]


def test_the_page_on_versions_says_what_the_packages_ask_for():
    page = (ROOT / "docs" / "versioning.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    minor = ".".join(VERSION.split(".")[:2])
    supported = {cells[0]: cells for cells in rows if len(cells) == 4}
    assert minor in supported, f"docs/versioning.md does not say what {minor} supports"
    row = supported[minor]
    project = tomllib.loads((ROOT / "packages/zenml_airflow/pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    low, high = re.fullmatch(r">=(3\.\d+\.\d+),<(3\.\d+)", project["requires-python"]).groups()
    minor = low.rpartition(".")[0]
    assert int(high.partition(".")[2]) == int(minor.partition(".")[2]) + 1
    assert row[1] == f"{minor}, from {low}"
    (airflow,) = [one for one in extras["airflow"] if one.startswith("apache-airflow>=")]
    low, high = re.fullmatch(r"apache-airflow>=(3\.\d+\.\d+),<(3\.\d+)", airflow).groups()
    minor = low.rpartition(".")[0]
    assert int(high.partition(".")[2]) == int(minor.partition(".")[2]) + 1
    assert row[2] == f"{minor}, from {low}"
    assert extras["zenml"] == [f"zenml[local]=={row[3]}"]
