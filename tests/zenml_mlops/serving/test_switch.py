"""A promotion while requests come, and versions that cannot be loaded."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from itertools import groupby
from pathlib import Path

import httpx
import pytest
from serving_lab import MODEL, ask, on_socket
from zenml.client import Client

from zenml_mlops.inference.champion import find_champion, load_model
from zenml_mlops.inference.scoring import score
from zenml_mlops.serving.deployment import StageSource, deployment
from zenml_mlops.serving.metrics import Metrics
from zenml_mlops.serving.records import EventLog
from zenml_mlops.serving.switch import ModelSwitch, SwitchState

pytestmark = pytest.mark.usefixtures("first")
THREADS = 6


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it has not come true"
        time.sleep(0.05)


def ready(base):
    return httpx.get(f"{base}/readyz", timeout=30).json()


def metric(base, name):
    lines = httpx.get(f"{base}/metrics", timeout=30).text.splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} "))


def test_no_request_fails_while_a_promotion_takes_effect(config, rows, put):
    app, _ = deployment(config)
    stop = threading.Event()
    answers = [[] for _ in range(THREADS)]
    expected = {1: load_model(find_champion(MODEL, "production"))}

    def keep_asking(base, mine, number):
        with httpx.Client(timeout=60) as client:
            while not stop.is_set():
                # One row, and more than one: both kinds share calls of the model.
                body = {"rows": rows[number : number + 1 + number % 3]}
                answer = client.post(f"{base}/v1/score", json=body)
                mine.append((answer.status_code, answer.json(), answer.headers.get("x-model-version")))

    with on_socket(app, config) as base:
        askers = [
            threading.Thread(target=keep_asking, args=(base, mine, number)) for number, mine in enumerate(answers)
        ]
        for asker in askers:
            asker.start()
        try:
            wait_for(lambda: all(len(mine) > 5 for mine in answers))
            put(2)
            wait_for(lambda: all(mine[-1][1].get("model", {}).get("version") == 2 for mine in answers))
            seen = [len(mine) for mine in answers]
            wait_for(lambda: all(len(mine) > count + 5 for mine, count in zip(answers, seen, strict=True)))
        finally:
            stop.set()
            for asker in askers:
                asker.join()
    expected[2] = load_model(find_champion(MODEL, "production"))
    assert {status for mine in answers for status, _, _ in mine} == {200}
    for number, mine in enumerate(answers):
        versions = [content["model"]["version"] for _, content, _ in mine]
        assert [version for version, _ in groupby(versions)] == [1, 2]
        assert versions == [int(header) for _, _, header in mine]
        # The version that an answer names is the one that computed it.
        frame = rows_frame(rows[number : number + 1 + number % 3])
        risks = {version: list(score(model, frame)) for version, model in expected.items()}
        assert risks[1] != risks[2]
        for _, content, _ in mine:
            assert [one["risk"] for one in content["predictions"]] == risks[content["model"]["version"]]


def rows_frame(rows):
    import pyarrow as pa

    from zenml_mlops.data.rows import arrow_schema
    from zenml_pipelines.use_case.contract import CONTRACT

    return pa.RecordBatch.from_pylist(rows, schema=arrow_schema(CONTRACT.columns)).to_pandas()


def test_a_version_that_cannot_be_loaded_leaves_the_old_one_in_place(config, rows, put, tmp_path):
    version = Client().get_model_version(MODEL, 2)
    files = Path(version.get_artifact("risk_model").uri)
    app, _ = deployment(config)
    with on_socket(app, config) as base:
        shutil.move(files, tmp_path / "away")
        try:
            put(2)
            wait_for(lambda: ready(base)["problem"] is not None)
            state = ready(base)
            assert state["ready"]
            assert state["model"]["version"] == 1
            assert "still serving version 1" in state["problem"]
            assert str(files) not in state["problem"]
            assert metric(base, "zenml_serving_problem") == 1
            assert metric(base, 'zenml_serving_switches_total{result="failure"}') >= 1
            answer = ask(base, rows[:2])
            assert answer.status_code == 200
            assert answer.json()["model"]["version"] == 1
        finally:
            shutil.move(tmp_path / "away", files)
        wait_for(lambda: ready(base)["model"]["version"] == 2)
        assert ready(base)["problem"] is None
        assert metric(base, "zenml_serving_problem") == 0
        assert metric(base, 'zenml_serving_switches_total{result="success"}') == 2
        assert ask(base, rows[:2]).json()["model"]["version"] == 2


def test_an_empty_stage_answers_nobody(config, rows, put):
    from zenml_mlops.promotion import archive

    app, _ = deployment(config)
    with on_socket(app, config) as base:
        archive(MODEL, 1, reason="a test of the service")
        wait_for(lambda: not ready(base)["ready"])
        assert httpx.get(f"{base}/readyz").status_code == 503
        assert httpx.get(f"{base}/healthz").status_code == 200
        refused = ask(base, rows[:1])
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert MODEL in refused.json()["error"]
        put(2)
        wait_for(lambda: ready(base)["ready"])
        assert ask(base, rows[:1]).json()["model"]["version"] == 2


class Unreachable(StageSource):
    """The stage of a store that does not answer now and then."""

    down = False

    def champion_id(self):
        if self.down:
            raise ConnectionError("postgresql://somebody:secret@store/zenml does not answer")
        return super().champion_id()


def test_a_store_that_does_not_answer_changes_nothing(config):
    source = Unreachable(config)
    switch = ModelSwitch(source, 1, Metrics(), EventLog())
    champion = switch.load_first()
    Unreachable.down = True
    try:
        for _ in range(3):
            switch.check()
        assert switch.champion is champion
        assert "ConnectionError" in switch.state.problem
        assert "secret" not in switch.state.problem
    finally:
        Unreachable.down = False
    switch.check()
    assert switch.state == SwitchState(champion)


def test_no_moment_shows_the_new_version_with_the_problem_of_the_old_one(config, put, monkeypatch):
    source = Unreachable(config)
    switch = ModelSwitch(source, 1, Metrics(), EventLog())
    switch.load_first()
    monkeypatch.setattr(Unreachable, "down", True)
    switch.check()
    monkeypatch.setattr(Unreachable, "down", False)
    put(2)
    seen = []

    def note(frame, event, _):
        seen.append((switch.champion.version.version, switch.state.problem is None))

    # What a request could see: before and after every call that the switch makes.
    sys.setprofile(note)
    try:
        switch.check()
    finally:
        sys.setprofile(None)
    assert [moment for moment, _ in groupby(seen)] == [(1, False), (2, True)]
