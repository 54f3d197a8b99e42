"""A project of another use case: what it holds, what it leaves alone, and that it runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from labs import warm
from tables import customers

from zenml_mlops.scaffold.documents import edited
from zenml_mlops.scaffold.project import PLATFORM_TESTS, TEMPLATES

ROOT = Path(__file__).resolve().parents[2]
WORDS = ("diabet", "readmi", "hospice", "patient_nbr", "encounter_id")
HOSTILE = 'a"); import os  # {{ x }}'


def new(folder, data, *options, code=0):
    run = warm.run(["-m", "zenml_mlops.cli.app", "new", folder, "--data", data, *options], cwd=ROOT)
    assert run.returncode == code, run.stdout + run.stderr
    return run.stdout + run.stderr


def git(folder, *command):
    run = subprocess.run(["git", "-C", str(folder), *command], capture_output=True, text=True, check=True)
    return run.stdout.splitlines()


def tracked():
    return git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard")


@pytest.fixture(scope="module")
def churn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("new")
    data = folder / "customers.csv"
    data.write_text(customers().replace("plan", HOSTILE.replace(",", "").replace('"', "'"), 1))
    named = ("--name", "churn", "--target", "churned", "--event", "yes", "--json")
    said = new(folder / "made", data, *named, "--id", "customer", "--group", "household")
    return folder / "made", json.loads(said[said.index("{") :])


def test_nothing_but_pipelines_and_configuration_is_another(churn):
    folder, said = churn
    own = {"README.md", ".gitignore", *said["made"]}
    left_out = ("benchmarks/", "notebooks/", "tests/", "zenml_pipelines/", "dags/readmission_", ".ci/run")
    for name in tracked():
        if name not in own and not name.startswith(left_out) and (ROOT / name).is_file():
            assert (folder / name).read_bytes() == (ROOT / name).read_bytes(), name
    for path in sorted((ROOT / "dags").glob("readmission_*.py")):
        renamed = folder / "dags" / path.name.replace("readmission", "churn")
        assert renamed.read_bytes() == path.read_bytes()
    changed = {name for name in said["made"] if not name.startswith(("zenml_pipelines/", "configs/", "tests/"))}
    assert changed - {"README.md"} == {
        name for name in said["made"] if name.startswith((".github/workflows/", "dags/churn_"))
    }
    generic = {path.name for path in (folder / "zenml_pipelines").glob("*.py")} - {"about.py", "contract.py"}
    for name in generic - {"features.py"}:
        assert (folder / "zenml_pipelines" / name).read_bytes() == (ROOT / "zenml_pipelines" / name).read_bytes()


def test_no_word_of_the_example_is_left_in_code_and_configuration(churn):
    folder, _ = churn
    found = []
    for path in [*folder.glob("zenml_pipelines/**/*.py"), *folder.glob("dags/*.py")]:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if any(word in line.lower() for word in WORDS):
                found.append(f"{path.relative_to(folder)}:{number}: {line.strip()}")
    assert found == []
    base = yaml.safe_load((folder / "configs" / "base.yaml").read_text())
    assert base["use_case"] == base["pipelines"]["training"]["model_name"] == "churn"
    assert "readmission" not in json.dumps(base, default=str)


def test_its_workflow_runs_the_suites_that_it_has(churn):
    folder, _ = churn
    workflow = yaml.safe_load((folder / ".github" / "workflows" / "ci.yml").read_text())
    suites = workflow["jobs"]["suite"]["strategy"]["matrix"]["suite"]
    script = (folder / ".ci" / "run").read_text()
    assert [f"make {name}" for name in ("check", *suites)] == [
        s for s in script.splitlines() if s.startswith("make ")
    ]


def test_it_is_a_clean_repository_without_the_data(churn):
    folder, _ = churn
    assert git(folder, "status", "--short") == []
    assert len(git(folder, "log", "--oneline")) == 1
    assert (folder / "data" / "churn.csv").is_file()
    assert "data/churn.csv" not in git(folder, "ls-files")


def test_it_passes_its_own_linters_and_a_name_in_the_table_is_never_code(churn):
    folder, _ = churn
    assert HOSTILE.replace('"', "'") in (folder / "zenml_pipelines" / "contract.py").read_text()
    for command in (["ruff", "check", "."], ["ruff", "format", "--check", "."]):
        tool = Path(sys.executable).with_name(command[0])
        run = subprocess.run([tool, *command[1:]], cwd=folder, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout
    kept = {path.name for path in (folder / "tests").iterdir() if path.is_dir()}
    assert kept == {*PLATFORM_TESTS, "use_case"}


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        (("--name", "Churn", "--target", "churned"), "--name is 'Churn'"),
        (("--name", "churn", "--target", "churned", "--owner", "Data Team"), "--owner is 'Data Team'"),
        (("--name", "churn", "--target", "churned", "--subgroup", "colour"), "--subgroup names ['colour']"),
        (("--name", "churn", "--target", "left"), "--target names 'left'"),
    ],
)
def test_a_slip_is_one_sentence_and_leaves_nothing(tmp_path, options, advice):
    data = tmp_path / "customers.csv"
    data.write_text(customers())
    said = new(tmp_path / "made", data, *options, code=1)
    assert advice in said.replace("\n", " ")
    assert "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["customers.csv"]


def test_a_folder_in_use_stays_as_it_is(tmp_path):
    data = tmp_path / "customers.csv"
    data.write_text(customers())
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "mine.txt").write_text("mine")
    said = new(tmp_path / "made", data, "--name", "churn", "--target", "churned", code=1)
    assert "exists already" in said
    assert (tmp_path / "made" / "mine.txt").read_text() == "mine"
    inside = ROOT / "build" / "made"
    assert "lies in this checkout" in new(inside, data, "--name", "churn", "--target", "churned", code=1)
    assert not inside.exists()


def test_a_document_keeps_its_comments():
    text = "a:  # first\n  b: 1   # one\n  list:\n    - x\n    - y\nc: {d: 'old'} # flow\n"
    new_text = edited(text, {"a.b": 2, "a.list": ["z"], "c.d": "new: {x}"})
    assert yaml.safe_load(new_text) == {"a": {"b": 2, "list": ["z"]}, "c": {"d": "new: {x}"}}
    assert [part in new_text for part in ("# first", "# one", "# flow")] == [True] * 3
    with pytest.raises(KeyError, match=r"no a\.q"):
        edited(text, {"a.q": 1})


def test_every_template_is_used():
    assert {path.suffix for path in TEMPLATES.rglob("*") if path.is_file()} == {".j2"}
