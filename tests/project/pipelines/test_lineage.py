"""Predictions traced to their source rows and back, on partitions and records that real runs left."""

from __future__ import annotations

import json
import os
import random
import re
from collections import Counter
from datetime import date
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree

import pandas as pd
import pytest
from labs.lineage_bench import (
    FIRST,
    HELD_OUT,
    SECOND,
    TWICE,
    TWO_FILES,
    Traced,
    good_ids,
    nodes,
    score_days,
    settings_at,
)
from typer.testing import CliRunner
from zenml import log_metadata
from zenml.client import Client

from zenml_mlops.audit import AUDIT_LOG_ENV
from zenml_mlops.data.partitions import PartitionStore
from zenml_mlops.lineage import Kind, Node, Report, State
from zenml_mlops.lineage.impact import impact_of_file, impact_of_run, impact_of_version
from zenml_mlops.lineage.partitions import TraceError
from zenml_mlops.lineage.pictures import to_dot, to_html
from zenml_mlops.lineage.tracing import trace_case, trace_prediction, trace_run, trace_version
from zenml_mlops.promotion import decide


@pytest.fixture(scope="module")
def traced(in_production, generated: pd.DataFrame, tmp_path_factory):
    space = in_production.moved(tmp_path_factory.mktemp("traced"))
    (space.root / "raw").symlink_to(in_production.root / "raw")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(AUDIT_LOG_ENV, str(space.root / "audit.jsonl"))
        found = score_days(space, generated)
        version = manifest(found, TWO_FILES)["model_version"]
        decide("generated_model", version, "staging", approved=True, reason="Asked for.", actor="user:eve")
        yield found


def manifest(traced: Traced, day: date) -> dict:
    return PartitionStore(traced.stores.predictions.root).manifest(day)


def test_random_encounters_lead_to_their_source_row_and_back(traced: Traced):
    scored = [(day, name, one) for (day, name), frame in traced.files.items() for one in good_ids(frame)]
    for day, name, encounter in random.Random(4).sample(scored, 20):
        (tree,) = trace_case(traced.settings, encounter, day, replaced=False).trees
        (source,) = nodes(tree, "source_row")
        assert (source.state, source.note) == (State.RECORDED, None)
        assert source.facts["file"] == f"landing/encounters/date={day}/{name}"
        row = pd.read_parquet(traced.place(day, name)).iloc[source.facts["row"]]
        assert row["encounter_id"] == encounter
        back = impact_of_file(traced.settings, source.facts["sha256"], replaced=False, ids=True)
        assert encounter in back.days[0].row_ids


def test_a_withdrawn_file_leads_to_exactly_its_predictions(traced: Traced):
    for name in (FIRST, SECOND):
        place = traced.place(TWO_FILES, name)
        content = place.read_bytes()
        place.unlink()
        try:
            found = impact_of_file(traced.settings, f"date={TWO_FILES}/{name}", replaced=True, ids=True)
            tree = trace_case(
                traced.settings, good_ids(traced.files[TWO_FILES, name])[0], None, replaced=False
            ).trees[0]
        finally:
            place.write_bytes(content)
        (day,) = found.days
        assert list(day.row_ids) == good_ids(traced.files[TWO_FILES, name])
        assert (day.date, day.exact, day.predictions) == (TWO_FILES, True, 76)
        assert found.affected == day.affected == len(day.row_ids)
        (source,) = nodes(tree, "source_row")
        assert (source.state, source.note) == (State.MISSING, "the file is gone from the landing zone")
    both = [
        impact_of_file(traced.settings, f"date={TWO_FILES}/{n}", replaced=False, ids=False)
        for n in (FIRST, SECOND)
    ]
    assert sum(one.affected for one in both) == 76


def test_the_whole_way_is_there(traced: Traced):
    encounter = good_ids(traced.files[HELD_OUT, FIRST])[0]
    (tree,) = trace_case(traced.settings, encounter, None, replaced=False).trees
    # The version's run belongs to the other storage root: its audit log is not this one's.
    missing = Counter(node.kind for node in tree.walk() if node.state is not State.RECORDED)
    assert set(missing) <= {Kind.AUDIT, Kind.AIRFLOW_RUN, Kind.CODE, Kind.LOCK, Kind.IMAGE}
    assert {node.kind for node in tree.walk()} == set(Kind) - {Kind.REFUSED_ROW, Kind.ORIGIN}
    (partition,), (version,) = nodes(tree, "partition"), nodes(tree, "model_version")
    written = manifest(traced, HELD_OUT)
    assert partition.facts["published by"] == written["zenml_run_id"]
    assert version.facts["version id"] == written["model_version_id"]
    runs = {node.facts["run"] for node in nodes(tree, "zenml_run")}
    assert runs == {written["zenml_run_id"], written["training_run_id"]}
    (gates,), (data,) = nodes(version, "gates"), nodes(version, "training_data")
    assert gates.facts["passed"] is True
    assert data.facts["location"] == "raw/diabetic_data.csv"
    assert any("approved for staging by user:eve" in node.title for node in nodes(version, "approval"))
    assert any(node.title.startswith("promoted, production: done") for node in nodes(version, "transition"))
    assert any("approve allowed" in node.title for node in nodes(version, "audit"))
    assert any(node.title == f"commit {'0' * 12}" for node in nodes(version, "code"))


def test_training_says_whether_it_knew_the_row(traced: Traced):
    def said(day, encounter):
        (tree,) = trace_case(traced.settings, encounter, day, replaced=False).trees
        return nodes(tree, "training_row")[0].facts

    assert said(HELD_OUT, good_ids(traced.files[HELD_OUT, FIRST])[0]) == {"used": False}
    run = Client().get_pipeline_run(manifest(traced, TWICE)["training_run_id"])
    parts = {name: run.steps["split_data"].outputs[name][0].load() for name in ("train", "test")}
    for encounter in good_ids(traced.files[TWICE, FIRST])[-3:]:
        found = said(TWICE, encounter)
        if "part" in found and found["part"] in parts:
            assert parts[found["part"]]["encounter_id"].iloc[found["row"]] == encounter
            assert found["used"] is (found["part"] == "train")
        else:
            assert not any((part["encounter_id"] == encounter).any() for part in parts.values())


def test_changed_training_data_shows(traced: Traced):
    raw = Path(traced.settings.state_dir) / "raw"
    kept = raw.readlink()
    raw.unlink()
    raw.mkdir()
    (raw / "diabetic_data.csv").write_text("other\n")
    number = manifest(traced, HELD_OUT)["model_version"]
    try:
        (data,) = nodes(trace_version(traced.settings, f"generated_model/{number}").trees[0], "training_data")
    finally:
        (raw / "diabetic_data.csv").unlink()
        raw.rmdir()
        raw.symlink_to(kept)
    assert data.state is State.CHANGED
    assert "Another file is there now" in data.note


def test_quarantined_rows_are_traced_with_their_reason(traced: Traced):
    frame = traced.files[TWO_FILES, FIRST]
    encounter = int(frame.loc[frame["gender"] == "Robot", "encounter_id"].iloc[1])
    (tree,) = trace_case(traced.settings, encounter, None, replaced=False).trees
    assert (tree.kind, tree.facts["reasons"]) == (Kind.REFUSED_ROW, "unknown_value")
    assert (nodes(tree, "source_row")[0].facts["row"], nodes(tree, "source_row")[0].state) == (7, State.RECORDED)


def test_replaced_partitions_are_shown_on_demand(traced: Traced):
    both = traced.replaced_ids[15]
    assert len(trace_case(traced.settings, both, None, replaced=False).trees) == 1
    now, before = trace_case(traced.settings, both, None, replaced=True).trees
    assert [nodes(tree, "partition")[0].facts["current"] for tree in (now, before)] == [True, False]
    (source,) = nodes(before, "source_row")
    assert source.state is State.CHANGED
    only_before = traced.replaced_ids[0]
    with pytest.raises(TraceError, match="--all also searches"):
        trace_case(traced.settings, only_before, TWICE, replaced=False)
    (tree,) = trace_prediction(traced.settings, f"{traced.replaced_run}/{only_before}").trees
    assert tree.facts["zenml run id" if "zenml run id" in tree.facts else "zenml_run_id"] == traced.replaced_run


def test_a_version_and_a_run_lead_to_their_predictions(traced: Traced):
    written = manifest(traced, HELD_OUT)
    number = written["model_version"]
    version = impact_of_version(traced.settings, f"generated_model/{number}", replaced=True, ids=False)
    assert (version.affected, version.replaced) == (76 + 30 + 30, 30)
    assert [day.current for day in version.days] == [True, True, False, True]
    trained = impact_of_run(traced.settings, written["training_run_id"], replaced=False, ids=False)
    assert (trained.affected, trained.replaced) == (version.affected, version.replaced)
    scored = impact_of_run(traced.settings, written["zenml_run_id"], replaced=False, ids=True)
    assert [list(day.row_ids) for day in scored.days] == [good_ids(traced.files[HELD_OUT, FIRST])]
    data = impact_of_file(traced.settings, "raw/diabetic_data.csv", replaced=False, ids=False)
    assert data.affected >= version.affected
    (tree,) = trace_run(traced.settings, written["training_run_id"]).trees
    assert number in {int(node.title.rsplit(" ", 1)[1]) for node in nodes(tree, "model_version")}


def test_without_the_rows_of_each_file_nothing_is_guessed(traced: Traced, monkeypatch):
    folder = traced.stores.predictions.absolute(f"date={TWO_FILES}/_manifest.json")
    content = Path(folder).read_text()
    Path(folder).write_text(json.dumps(json.loads(content) | {"input_rows": {}}))
    encounter = good_ids(traced.files[TWO_FILES, SECOND])[0]
    try:
        found = impact_of_file(traced.settings, f"date={TWO_FILES}/{FIRST}", replaced=False, ids=False)
        (tree,) = trace_case(traced.settings, encounter, None, replaced=False).trees
    finally:
        Path(folder).write_text(content)
    assert [(day.affected, day.exact) for day in found.days] == [(76, False)]
    (source,) = nodes(tree, "source_row")
    assert (source.state, source.facts) == (State.MISSING, {})


def test_a_deleted_run_and_version_are_missing_and_still_lead_forward(traced: Traced):
    Client().delete_pipeline_run(traced.replaced_run)
    encounter = traced.replaced_ids[0]
    (tree,) = trace_prediction(traced.settings, f"{traced.replaced_run}/{encounter}").trees
    gone = next(node for node in nodes(tree, "zenml_run") if node.facts["run"] == traced.replaced_run)
    assert gone.state is State.MISSING
    assert "deleted" in gone.note
    assert not nodes(gone, "code")
    found = impact_of_run(traced.settings, traced.replaced_run, replaced=True, ids=True)
    assert [list(day.row_ids) for day in found.days] == [traced.replaced_ids]
    assert "no longer has" in found.cause


def test_an_imported_version_shows_whose_evidence_it_is(traced: Traced):
    client = Client()
    client.create_model(name="brought")
    version = client.create_model_version(model_name_or_id="brought")
    server = {"id": "1" * 32, "url": "https://staging", "environment": "staging"}
    at = "2026-01-05T00:00:00Z"
    link = {"number": 1, "kind": "promote", "stage": "staging", "state": "done", "by": "user:ann"}
    link |= {"at": at, "environment": "staging"}
    run = {"id": "2" * 32, "name": "there", "status": "completed", "gates": {"skill": True}, "dag_id": "d"}
    record = {
        "hops": [{"server": server, "version": 4, "version_id": "3" * 32, "chain": [link], "bundle": "b" * 64}],
        "run": {**run, "dag_run_id": "r"},
        "commit": "c" * 40,
        "data_digest": "d" * 64,
        "imported_by": "user:bob",
        "imported_at": at,
        "files": {},
    }
    log_metadata(metadata={"imported": record}, model_version_id=version.id)
    try:
        (tree,) = trace_version(traced.settings, "brought/1").trees
        plain = client.create_model_version(model_name_or_id="brought")
        (bare,) = trace_version(traced.settings, f"brought/{plain.number}").trees
    finally:
        client.delete_model("brought")
    states = {node.kind: node.state for node in tree.walk()}
    imported = {kind for kind, state in states.items() if state is State.IMPORTED}
    assert imported >= {Kind.MODEL_VERSION, Kind.ORIGIN, Kind.GATES, Kind.ZENML_RUN, Kind.AIRFLOW_RUN, Kind.CODE}
    assert states[Kind.TRAINING_DATA] is State.IMPORTED
    assert nodes(tree, "gates")[0].facts["passed"] is True
    kinds = [node.kind for node in bare.walk() if node.state is State.MISSING]
    assert {Kind.GATES, Kind.ZENML_RUN, Kind.TRAINING_DATA} <= set(kinds)


@pytest.fixture
def cli(traced: Traced, monkeypatch):
    def call(*arguments: object, settings=traced.settings):
        monkeypatch.setattr("zenml_mlops.environment.process.enter", lambda _: settings)
        from zenml_mlops.cli.app import app

        # A command points its process at the state folder: here that is the process of the tests.
        with mock.patch.dict(os.environ):
            return CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "300"})

    return call


def test_the_commands_answer(traced: Traced, cli, tmp_path: Path):
    encounter = good_ids(traced.files[HELD_OUT, FIRST])[3]
    page = tmp_path / "new" / "lineage.html"
    said = cli("trace", encounter, "--html", page, "--json")
    assert said.exit_code == 0, said.output
    report = json.loads(said.stdout)
    assert set(report) == {"schema_version", "asked", "trees"}
    assert report["schema_version"] == 1
    assert set(report["trees"][0]) == {"kind", "title", "state", "facts", "note", "children"}
    assert Report.model_validate(report) == trace_case(traced.settings, encounter, None, replaced=False)
    assert f"encounter {encounter}" in page.read_text()
    shown = cli("trace", encounter)
    assert "model version generated_model version" in shown.output
    assert "missing" in shown.output
    assert cli("trace", encounter, "--strict").exit_code == 3
    told = cli("impact", "--file", f"date={TWO_FILES}/{FIRST}", "--list")
    assert told.exit_code == 0
    assert "47 predictions are affected" in told.output
    affected = json.loads(cli("impact", "--run", manifest(traced, HELD_OUT)["zenml_run_id"], "--json").stdout)
    assert set(affected) == {"schema_version", "asked", "cause", "affected", "replaced", "days", "shadow"}
    assert "row_ids" not in affected["days"][0]
    assert cli("trace", encounter, "--dot").output.startswith("digraph lineage {")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["trace", "1", "--date", "2026-01-05"], 1, "neither among the predictions"),
        (["trace", "1"], 1, "of 3 days, 2026-01-05 to 2026-01-07"),
        (["trace", "1", "--date", "2031-01-05"], 1, "no predictions of 2031-01-05"),
        (["trace", "--model-version", "generated_model/999"], 1, "no version 999"),
        (["trace", "--model-version", "x/y"], 1, "MODEL/NUMBER"),
        (["trace", "--run", "nonsense"], 1, "no run 'nonsense'"),
        (["trace", "--prediction", "5"], 1, "RUN/ID"),
        (["trace"], 2, "Name one of"),
        (["trace", "1", "--run", "x"], 2, "found ID and --run"),
        (["trace", "--run", "x", "--all"], 2, "--all has an effect"),
        (["impact"], 2, "Name one of"),
        (["impact", "--file", "date=2026-01-05/part-009.parquet"], 1, "Nothing was made from"),
        (["impact", "--file", "elsewhere/date=2026-01-05/part-000.parquet"], 1, "not lie in the landing zone"),
        (["impact", "--file", "date=2026-13-05/part-000.parquet"], 1, "is no date"),
        (["impact", "--run", "nonsense"], 1, "no run 'nonsense'"),
        (["impact", "--model-version", "no_model/1"], 1, "Neither ZenML nor any partition"),
    ],
)
def test_what_cannot_be_answered_says_why(cli, arguments, code, message):
    said = cli(*arguments)
    assert said.exit_code == code, said.output
    assert message in " ".join(re.sub("[│╭╮╰╯─]", " ", said.output).split())


def test_without_predictions_the_way_out_is_named(cli, tmp_path: Path):
    said = cli("trace", 5, settings=settings_at(tmp_path))
    assert said.exit_code == 1
    assert "run batch_inference first" in " ".join(said.output.split())


def test_pictures_hold_every_link_and_fetch_nothing():
    hostile = '<script>alert("x")</script>'
    child = Node(kind=Kind.CODE, title=hostile, state=State.MISSING, note=hostile, facts={hostile: [hostile]})
    tree = Node(kind=Kind.PREDICTION, title='a "quoted" one', children=(child, child))
    report = Report(asked={"encounter": "1"}, trees=(tree,))
    page = to_html(report, "Lineage")
    parsed = ElementTree.fromstring(page[page.index("<html") :])
    assert not list(parsed.iter("script"))
    assert len(list(parsed.iter("{http://www.w3.org/2000/svg}rect"))) == 3
    assert not re.search(r'(?:src|href)="(?!#)|@import|url\(', page)
    assert "2 links are missing or changed" in page
    graph = to_dot(report)
    assert graph.count("->") == 2
    assert r"\"quoted\"" in graph
