"""``mlops export`` and ``mlops import`` as a release does: two servers, each with its own state and process."""

import json
import os
import shutil
from pathlib import Path

import pytest
from labs import ROOT, warm
from labs.two_stores import SIGNER, make_key, rules_for

PLAY = Path(__file__).with_name("bundle_play.py")
pytestmark = [pytest.mark.trained, pytest.mark.timeout(1800)]


def play(project, state, *commands):
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("MLOPS_", "ZENML_"))}
    environment = {
        **keep,
        "MLOPS_PROJECT_ROOT": str(project),
        "PYTHONPATH": os.pathsep.join((str(PLAY.parent), os.environ["PYTHONPATH"])),
        "COLUMNS": "400",
        "ZENML_LOGGING_VERBOSITY": "ERROR",
    }
    result = warm.run([PLAY, state, json.dumps(commands)], cwd=ROOT, env=environment)
    assert result.returncode == 0, result.stderr[-3000:]
    return [tuple(item[1:]) for item in json.loads(result.stdout[result.stdout.index('[["') :])]


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """The source's answers, then the target's."""
    folder = tmp_path_factory.mktemp("release")
    project = folder / "project"
    for part in ("configs", "stacks", "dags"):
        shutil.copytree(ROOT / part, project / part)
    key, stranger = make_key(folder, "release"), make_key(folder, "stranger")
    (project / "configs" / "allowed_signers").write_bytes(rules_for(key).allowed_signers.read_bytes())
    out = folder / "out"
    source = play(
        project,
        folder / "source",
        "make-versions",
        f"export readmission_risk 1 --to {out} --key {key} --json",
        f"export readmission_risk 1 --to {out} --key {key}",
        f"export readmission_risk 2 --to {out}",
        f"export readmission_risk 9 --to {out}",
        f"export readmission_risk 1 --to {out} --key {folder}/none",
        f"export readmission_risk 1 --key {stranger} --to {out}/stranger.tar",
        "export readmission_risk 1",
        "audit show --action export",
    )
    bundle = json.loads(source[0][1])["location"]
    target = play(
        project,
        folder / "target",
        f"import {bundle}",
        "stack apply",
        f"import {bundle} --dry-run",
        f"import {bundle} --model somebody_else",
        f"import {out}/stranger.tar",
        f"import {out}/none.tar",
        f"import {bundle} --json --reason 'Release 7.'",
        f"import {bundle}",
        "promote readmission_risk 1",
        "models show readmission_risk",
        "models show readmission_risk --json",
        "models history readmission_risk",
        "audit verify",
    )
    return source, target, folder


def test_export_says_what_it_wrote(said):
    source, _, folder = said
    made, again, failed, unknown, no_key, stranger, unsigned, audit = source
    assert made[0] == 0
    assert "packing model" in made[2]
    assert again == (0, again[1], again[2])
    assert "is there already:" in again[1]
    assert (failed[0], unknown[0], no_key[0]) == (1, 1, 1)
    assert "bundle-gates" in failed[2]
    assert "has no version 9" in unknown[2]
    assert "no signing key" in no_key[2]
    assert stranger[0] == 0
    assert unsigned[0] == 0
    assert "policy bundle-signature (dry_run): it is not signed" in unsigned[2]
    assert list((folder / "source" / "bundles").glob("readmission_risk-1-*.tar"))
    assert audit[1].count("done") == 3


def test_import_refuses_in_one_sentence_and_lets_the_right_bundle_in(said):
    _, target, _ = said
    no_stack, applied, dry, model, stranger, none, done, again, *_ = target
    assert (no_stack[0], "`mlops stack apply` first" in no_stack[2]) == (1, True)
    assert applied[0] == 0, applied
    assert dry[0] == 0
    assert "is valid and would be imported: local (store " in dry[1]
    for code, out, err in (model, stranger, none, again):
        assert (code, out) == (1, "")
        assert "Error: " in err
    assert "Nothing of the model 'somebody_else' is imported here" in model[2]
    assert "does not allow to sign bundles" in stranger[2]
    assert "There is no bundle" in none[2]
    assert "is version 1 here" in again[2]
    result = json.loads(done[1])
    assert (result["model"], result["version"]) == ("readmission_risk", 1)
    assert result["origin"]["hops"][0]["signer"] == SIGNER


def test_the_commands_on_models_lead_back_to_the_source(said):
    _, target, _ = said
    *_, promoted, shown, as_json, history, verified = target
    assert promoted[0] == 0
    (row,) = json.loads(as_json[1])
    run = row["origin"]["run"]["id"]
    assert f"version 1, signed by {SIGNER}" in shown[1]
    assert row["run"] in shown[1]
    assert run[:8] in history[1]
    assert "import: version 1 <- version 1 of local" in history[1]
    assert "entries are whole" in verified[1]
