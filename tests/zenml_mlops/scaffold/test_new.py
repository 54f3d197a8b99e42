"""A project of another use case: what it holds, what it depends on, and how it takes a newer template."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from labs import ROOT
from labs.scaffolds import commit, git, new, repository, upgrade
from labs.tables import customers
from typer.testing import CliRunner

from zenml_mlops.cli.app import app
from zenml_mlops.data.contract import Contract
from zenml_mlops.scaffold.project import ANSWERS, SCAFFOLD

TEMPLATE = SCAFFOLD / "template"
WORDS = ("diabet", "readmi", "hospice", "patient_nbr", "encounter_id")
HOSTILE = 'a"); import os  # {{ x }}'
SAME = {
    "dags/zenml_maintenance.py": "dags/zenml_maintenance.py",
    "stacks/local.yaml": "stacks/local.yaml",
    "zenml_pipelines/model.py": "zenml_pipelines/model.py",
    **{
        f"dags/{{{{ name }}}}_{one}.py": f"dags/readmission_{one}.py"
        for one in ("training", "batch_inference", "monitoring", "promotion")
    },
    **{
        f"governance/policies/{one.name}": f"governance/policies/{one.name}"
        for one in (ROOT / "governance" / "policies").glob("*.yaml")
    },
}
"""Files of the template by the file of the reference project that each of them is."""


@pytest.fixture(scope="module")
def churn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("new")
    data = folder / "customers.csv"
    data.write_text(customers().replace("plan", HOSTILE.replace(",", "").replace('"', "'"), 1))
    named = ("--name", "churn", "--target", "churned", "--event", "yes", "--json", "--platform", "0.1.0")
    said = new(folder / "made", data, *named, "--id", "customer", "--group", "household")
    return folder / "made", json.loads(said[said.index("{") :])


def test_it_is_small_and_holds_nothing_of_the_platform(churn):
    folder, said = churn
    names = [name for name in git(folder, "ls-files") if name != "uv.lock"]
    assert set(names) == set(said["made"]) - {"uv.lock"}
    assert len(names) < 30
    assert sum(len((folder / name).read_text().splitlines()) for name in names) < 1500
    assert not [name for name in names if "zenml_airflow" in name or "zenml_mlops" in name]
    assert "zenml-airflow-mlops[local,serving]==0.1.0" in (folder / "pyproject.toml").read_text()


def test_the_reference_project_is_one_of_this_template():
    for made, reference in SAME.items():
        assert (TEMPLATE / made).read_text() == (ROOT / reference).read_text(), reference


def test_the_template_needs_no_formatter_to_be_right():
    tool = Path(sys.executable).with_name("ruff")
    command = [tool, "check", "--isolated", "--select", "E9,F", "--no-cache", *TEMPLATE.rglob("*.py")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_no_word_of_the_example_is_left(churn):
    folder, said = churn
    found = []
    for name in said["made"]:
        if name == "uv.lock" or name.startswith("governance/policies/"):
            continue
        for number, line in enumerate((folder / name).read_text().splitlines(), 1):
            if any(word in line.lower() for word in WORDS):
                found.append(f"{name}:{number}: {line.strip()}")
    assert found == []
    base = yaml.safe_load((folder / "configs" / "base.yaml").read_text())
    assert base["use_case"] == base["pipelines"]["training"]["model_name"] == "churn"


def test_it_says_what_it_was_made_from_and_names_no_place_of_this_machine(churn):
    folder, _ = churn
    answers = yaml.safe_load((folder / ANSWERS).read_text())
    assert (answers["_commit"], answers["name"], answers["platform"]) == ("v0.1.0", "churn", {"version": "0.1.0"})
    texts = [(folder / name).read_text() for name in git(folder, "ls-files")]
    assert not [text for text in texts if str(ROOT) in text or str(folder) in text]


def test_it_is_a_clean_repository_without_the_data(churn):
    folder, _ = churn
    assert git(folder, "status", "--short") == []
    assert len(git(folder, "log", "--oneline")) == 1
    assert (folder / "data" / "churn.csv").is_file()
    assert "data/churn.csv" not in git(folder, "ls-files")


def test_it_passes_its_own_linters_and_a_name_in_the_table_is_never_code(churn):
    folder, _ = churn
    contract = Contract.load(folder / "zenml_pipelines" / "use_case" / "contract.yaml")
    assert HOSTILE.replace('"', "'") in [rule.name for rule in contract.columns]
    code = "".join(path.read_text() for path in folder.rglob("*.py"))
    assert "import os  #" not in code
    for command in (["ruff", "check", "."], ["ruff", "format", "--check", "."]):
        tool = Path(sys.executable).with_name(command[0])
        run = subprocess.run([tool, *command[1:]], cwd=folder, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return repository(tmp_path_factory.mktemp("platform"))


@pytest.fixture(scope="module")
def worked_in(tmp_path_factory, template):
    """A project of the first tag in which somebody has worked."""
    root = tmp_path_factory.mktemp("worked_in")
    data = root / "customers.csv"
    data.write_text(customers())
    named = ("--name", "churn", "--target", "churned", "--platform", f"{template}@v0.1.0", "--template", template)
    folder = root / "made"
    new(folder, data, *named)
    features = folder / "zenml_pipelines" / "use_case" / "features.py"
    features.write_text(features.read_text() + "\n# Ours.\n")
    (folder / "zenml_pipelines" / "ours.py").write_text('"""Ours."""\n')
    commit(folder)
    return folder


@pytest.fixture
def edited(tmp_path, worked_in):
    """A clone that a test may change."""
    git(tmp_path, "clone", "--quiet", worked_in, "made")
    return tmp_path / "made"


def test_an_upgrade_merges_what_the_template_changed_and_keeps_what_is_ours(edited, template):
    assert "Merged" in upgrade(edited, "--platform", f"{template}@v0.2.0")
    assert "SOURCE ?= synthetic" in (edited / "Makefile").read_text()
    assert (edited / "SECURITY.md").is_file()
    assert "# Ours." in (edited / "zenml_pipelines" / "use_case" / "features.py").read_text()
    assert (edited / "zenml_pipelines" / "ours.py").is_file()
    assert 'tag = "v0.2.0"' in (edited / "pyproject.toml").read_text()
    assert yaml.safe_load((edited / ANSWERS).read_text())["_commit"] == "v0.2.0"
    commit(edited)
    before = git(edited, "log", "--format=%H")
    assert "Merged" in upgrade(edited)
    assert (git(edited, "status", "--short"), git(edited, "log", "--format=%H")) == ([], before)


def test_lines_that_both_changed_are_named(edited, template):
    makefile = edited / "Makefile"
    makefile.write_text(makefile.read_text().replace("SOURCE ?= auto", "SOURCE ?= data/churn.csv"))
    commit(edited)
    said = upgrade(edited, "--platform", f"{template}@v0.2.0", code=1)
    assert "solve the conflicts in: Makefile" in said
    text = makefile.read_text()
    assert text.index("<<<<<<<") < text.index("SOURCE ?= data/churn.csv") < text.index("SOURCE ?= synthetic")
    assert "# Ours." in (edited / "zenml_pipelines" / "use_case" / "features.py").read_text()


def test_an_upgrade_that_cannot_be_is_one_sentence_and_changes_nothing(edited, tmp_path):
    head = git(edited, "log", "--format=%H")
    assert "cannot be taken" in upgrade(edited, "--platform", "9.9.9", code=1)
    (edited / "README.md").write_text("changed")
    assert "uncommitted changes" in upgrade(edited, code=1)
    git(edited, "checkout", "--quiet", ".")
    assert (git(edited, "status", "--short"), git(edited, "log", "--format=%H")) == ([], head)
    assert f"has no {ANSWERS}" in upgrade(tmp_path, code=1)


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (("--name", "Churn", "--target", "churned"), "--name is 'Churn'"),
        (("--name", "return", "--target", "churned"), "is already in use"),
        (("--name", "predictions", "--target", "churned"), "is already in use"),
        (
            ("--name", "churn", "--target", "churned", "--platform", "https://u:token@host/x.git@v1.0"),
            "credential",
        ),
        (
            ("--name", "churn", "--target", "churned", "--platform", "ssh://git@host/x.git"),
            "whose tag is a version",
        ),
        (("--name", "churn", "--target", "churned", "--platform", '0.1", "other'), "name a version"),
        (("--name", "churn", "--target", "churned", "--owner", "Data Team"), "--owner is 'Data Team'"),
        (("--name", "churn", "--target", "churned", "--subgroup", "colour"), "--subgroup names ['colour']"),
        (("--name", "churn", "--target", "left"), "--target names 'left'"),
    ],
)
def test_a_slip_is_one_sentence_and_leaves_nothing(tmp_path, options, advice):
    data = tmp_path / "customers.csv"
    data.write_text(customers())
    told = CliRunner().invoke(app, ["new", str(tmp_path / "made"), "--data", str(data), *options])
    assert (told.exit_code, told.stdout) == (1, "")
    assert advice in told.stderr.replace("\n", " ")
    assert [path.name for path in tmp_path.iterdir()] == ["customers.csv"]


def test_a_folder_in_use_stays_as_it_is(tmp_path):
    data = tmp_path / "customers.csv"
    data.write_text(customers())
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "mine.txt").write_text("mine")
    said = new(tmp_path / "made", data, "--name", "churn", "--target", "churned", code=1)
    assert "exists already" in said
    assert (tmp_path / "made" / "mine.txt").read_text() == "mine"
