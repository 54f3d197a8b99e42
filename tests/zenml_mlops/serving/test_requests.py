"""What is taken, what is refused, and what is told of it."""

from __future__ import annotations

import json
import logging
import time
from itertools import pairwise

import httpx
import pandas as pd
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from serving_lab import KEY, MODEL, ask, on_socket

from zenml_mlops.data.contract import ColumnType
from zenml_mlops.data.rows import SeenIds, arrow_schema, check_rows
from zenml_mlops.inference.champion import find_champion, load_model
from zenml_mlops.serving.categories import KnownCategories
from zenml_mlops.serving.deployment import deployment
from zenml_mlops.serving.limits import ApiKeys, TokenBuckets
from zenml_mlops.serving.records import LOGGER, JsonFormatter
from zenml_mlops.serving.schema import InvalidRequestError, RequestContract
from zenml_pipelines.use_case.contract import CONTRACT
from zenml_pipelines.use_case.features import GROUPING
from zenml_pipelines.use_case.schema import ENCOUNTER_ID, PATIENT_ID

pytestmark = pytest.mark.usefixtures("first")


@pytest.fixture
def client(config):
    app, _ = deployment(config)
    with TestClient(app) as found:
        yield found


@pytest.fixture
def logged():
    """Every record of every logger while the test runs, as the service would write it."""
    lines = []

    class Keep(logging.Handler):
        def emit(self, record):
            # The client of the test, in the same process.
            if record.name.startswith(("httpx", "httpcore")):
                return
            lines.append(self.format(record))

    keep = Keep()
    keep.setFormatter(JsonFormatter())
    loggers = [logging.getLogger(), logging.getLogger(LOGGER)]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(keep)
        logger.setLevel(logging.DEBUG)
    logging.getLogger(LOGGER).propagate = False
    yield lines
    logging.getLogger(LOGGER).propagate = True
    for logger, level in zip(loggers, before, strict=True):
        logger.removeHandler(keep)
        logger.setLevel(level)


def score(client, rows, **more):
    return client.post("/v1/score", json={"rows": rows}, **more)


def test_each_row_is_answered_in_order_and_the_version_is_named(client, rows):
    answer = score(client, rows[:50])
    assert answer.status_code == 200
    content = answer.json()
    champion = find_champion(MODEL, "production")
    assert content["model"] == {"name": MODEL, "version": 1, "version_id": str(champion.version_id)}
    assert answer.headers["x-model-version"] == "1"
    assert answer.headers["x-model-version-id"] == str(champion.version_id)
    assert [one["encounter_id"] for one in content["predictions"]] == [row[ENCOUNTER_ID] for row in rows[:50]]
    for one in content["predictions"]:
        expected = "high_risk" if one["risk"] >= content["decision_threshold"] else "low_risk"
        assert one["decision"] == expected
    assert content["request_id"] == answer.headers["x-request-id"]


def test_a_category_that_the_model_never_met_is_scored_and_reported(client, rows):
    strange = {**rows[0], "medical_specialty": "Astrology", "admission_source_id": 9999}
    (known,), (unknown,) = (score(client, [row]).json()["predictions"] for row in (rows[0], strange))
    assert known["unknown_categories"] == []
    assert sorted(unknown["unknown_categories"]) == ["admission_source_id", "medical_specialty"]
    model = load_model(find_champion(MODEL, "production"))
    frame = pd.DataFrame([{name: strange.get(name) for name in model.feature_names_in_}])
    assert unknown["risk"] == model.predict_proba(frame)[0, 1]


def test_unknown_categories_are_those_of_the_models_own_features(encounters, rows):
    """The short way of `KnownCategories` against the features that the model computes."""
    champion = find_champion(MODEL, "production")
    model = load_model(champion)
    strange = [
        {**row, column: value}
        for row, (column, value) in zip(
            rows,
            [
                ("race", None), ("race", ""), ("payer_code", "??"), ("admission_type_id", 77), ("diag_1", "E12"),
                ("diag_2", "V4"), ("diag_3", None), ("diag_1", "no code"), ("diag_2", "1000"),
                ("gender", "Unknown/Invalid"),
                ("max_glu_serum", ">300"), ("A1Cresult", ">8"), ("discharge_disposition_id", 12345),
            ],
            strict=False,
        )
    ]  # fmt: skip
    tried = [*rows, *strange]
    frame = pd.DataFrame([{name: row.get(name) for name in model.feature_names_in_} for row in tried])
    features = model.named_steps["features"].transform(frame)
    (_, encoder, columns), *_ = model.named_steps["encode"].transformers_
    expected = [
        {
            name.removesuffix("_group")
            for name, learned in zip(columns, encoder.categories_, strict=True)
            if features.iloc[number][name] not in set(learned)
        }
        for number in range(len(tried))
    ]
    categories = KnownCategories.of(model, CONTRACT, GROUPING)
    assert [set(found) for found in categories.unknown(tried)] == expected
    assert any(expected)


def broken_rows(row):
    """Rows with one fault each."""
    yield {**row, "unknown_column": 1}
    for rule in CONTRACT.columns:
        if rule.name not in row:
            continue
        if rule.required:
            yield {name: value for name, value in row.items() if name != rule.name}
            yield {**row, rule.name: None}
        if rule.type is ColumnType.INTEGER:
            yield {**row, rule.name: str(row[rule.name])}
            yield {**row, rule.name: row[rule.name] + 0.5}
            yield {**row, rule.name: True}
            yield {**row, rule.name: 2**63}
            if rule.minimum is not None:
                yield {**row, rule.name: rule.minimum - 1}
            if rule.maximum is not None:
                yield {**row, rule.name: rule.maximum + 1}
        else:
            yield {**row, rule.name: 5}
            yield {**row, rule.name: ["a"]}
            if rule.values is not None:
                yield {**row, rule.name: "Bogus"}
    yield {**row, "discharge_disposition_id": 11}


def test_every_fault_is_refused(client, rows):
    complete = {
        **rows[0],
        "race": "Caucasian",
        "payer_code": "MC",
        "medical_specialty": "Surgery",
        "diag_3": "250",
    }
    faults = list(broken_rows(complete))
    assert len(faults) > 100
    for row in faults:
        answer = score(client, [rows[1], row])
        assert answer.status_code == 422, row
        content = answer.json()
        assert content["total"] >= 1
        assert content["model"]["version"] == 1
        assert all(problem["row"] == 1 for problem in content["problems"])


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"rows": []}', b'{"rows": [1]}', b'{"rows": [{}], "more": 1}', b'{"rows": "x"}',
     b"\xff\xfe", b'{"rows": [{"race": "\\ud800"}]}', b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_request_is_refused(client, body):
    answer = client.post("/v1/score", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["problems"]


def test_the_service_refuses_what_batch_inference_puts_into_quarantine(encounters, rows):
    """Rows with values of the right type: the two sets of rules must agree on each."""
    schema = CONTRACT
    contract = RequestContract(schema, most_rows=10)
    complete = {
        **rows[0],
        "race": "Caucasian",
        "payer_code": "MC",
        "medical_specialty": "Surgery",
        "diag_3": "250",
    }
    tried = [{**complete, name: value} for name in complete for value in edge_values(name)]
    refused = 0
    for row in tried:
        batch = pa.RecordBatch.from_pylist([{PATIENT_ID: 1, **row}], schema=arrow_schema(schema.columns))
        bad = bool(check_rows(batch, schema, SeenIds()))
        try:
            contract.parse(json.dumps({"rows": [row]}).encode())
        except InvalidRequestError:
            assert bad, row
            refused += 1
        else:
            assert not bad, row
    assert len(tried) > refused > 100


def edge_values(name):
    (rule,) = (rule for rule in CONTRACT.columns if rule.name == name)
    if rule.type is ColumnType.TEXT:
        return [None, "", "Bogus", *(rule.values or ())]
    edges = {1, 11, 13, 14, 18, 19, 20, 21, 2**63 - 1}
    for edge in (rule.minimum, rule.maximum):
        edges |= set() if edge is None else {edge - 1, edge, edge + 1}
    return [None, *sorted(edges)]


def test_a_whole_number_may_be_written_with_a_point(client, rows):
    """JSON knows one kind of number, and a data frame with gaps writes 5.0 for 5."""
    text = json.dumps({"rows": [{k: float(v) if isinstance(v, int) else v for k, v in rows[0].items()}]})
    assert ".0" in text
    answer = client.post("/v1/score", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
    assert answer.json()["predictions"] == score(client, rows[:1]).json()["predictions"]


def test_an_encounter_twice_in_a_request_is_refused(client, rows):
    answer = score(client, [rows[0], rows[1], {**rows[2], ENCOUNTER_ID: rows[0][ENCOUNTER_ID]}])
    assert answer.status_code == 422
    assert answer.json()["problems"] == [
        {"row": 2, "column": ENCOUNTER_ID, "problem": "occurs earlier in the request"}
    ]


def test_more_rows_than_allowed_are_refused(config, rows):
    app, _ = deployment(config.model_copy(update={"most_rows": 3}))
    with TestClient(app) as client:
        assert score(client, rows[:3]).status_code == 200
        assert score(client, rows[:4]).status_code == 422


def marked_bodies(rows):
    """Requests, right and wrong, whose every value is one that occurs nowhere else."""
    row = {**rows[0], ENCOUNTER_ID: 987654321987, "race": "Marked-Race", "payer_code": "Marked-Payer",
           "medical_specialty": "Marked-Specialty", "diag_1": "Marked-Diagnosis",
           "admission_source_id": 876543}  # fmt: skip
    yield 200, {"rows": [row]}
    yield 422, {"rows": [row, row]}
    yield 422, {"rows": [{**row, "Marked-Name": "Marked-Field"}]}
    yield 422, {"rows": [{**row, "age": "Marked-Age"}]}
    yield 422, {"rows": [{**row, "time_in_hospital": 765432}]}
    yield 422, {"rows": [{**row, "time_in_hospital": "Marked-Text"}]}
    yield 422, {"rows": [{**row, "race": {"Marked-Key": "Marked-Nested"}}]}
    yield 422, {"rows": [{**row, "discharge_disposition_id": 11, "gender": "Marked-Gender"}]}
    yield 422, {"rows": "Marked-Rows"}
    yield 422, {"Marked-Top": [row]}


def test_nothing_that_a_client_sent_is_logged_or_sent_back(client, rows, logged):
    tested = 0
    for status, body in marked_bodies(rows):
        answer = client.post(
            "/v1/score?patient=Marked-Query", json=body, headers={"X-Request-ID": "Marked-Header"}
        )
        assert answer.status_code == status
        if status == 422:
            assert "Marked" not in answer.text
            assert not any(number in answer.text for number in ("987654321987", "876543", "765432"))
            tested += 1
    for broken in (b'{"rows": [{"race": "Marked-Broken', b'{"rows": Marked-Bare}'):
        answer = client.post("/v1/score", content=broken, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422
        assert "Marked" not in answer.text
    client.get("/v1/Marked-Path")
    client.request("MARKED", "/v1/score")
    client.post("/v1/score", content=b"Marked", headers={"Content-Type": "text/Marked"})
    assert tested == 9
    text = "\n".join(logged)
    assert text.count('"event": "request"') >= 13
    for sent in ("arked", "ARKED", "987654321987", "876543", "765432"):
        assert sent not in text
    metrics = client.get("/metrics").text
    assert "arked" not in metrics


def test_a_request_is_logged_with_its_id_rows_version_time_and_status(client, rows, logged):
    answer = score(client, rows[:7])
    lines = [json.loads(line) for line in logged]
    (line,) = (line for line in lines if line.get("request_id") == answer.headers["x-request-id"])
    assert line["event"] == "request"
    assert line["rows"] == 7
    assert line["version"] == 1
    assert line["version_id"] == answer.headers["x-model-version-id"]
    assert line["status"] == 200
    assert line["route"] == "/v1/score"
    assert 0 < line["milliseconds"] < 10_000


def test_a_fault_of_ours_tells_nothing(config, rows, logged):
    app, served = deployment(config)
    # A model that fails as pandas does: with a row in its message.
    object.__setattr__(served, "_model", None)
    with TestClient(app) as client:
        answer = score(client, [{**rows[0], "race": "Marked-Race"}])
        assert answer.status_code == 500
        assert "Marked" not in answer.text
        assert client.get("/healthz").status_code == 200
    text = "\n".join(logged)
    (failure,) = (json.loads(line) for line in logged if '"event": "failure"' in line)
    assert failure["request_id"] == answer.headers["x-request-id"]
    assert "AttributeError in score:" in failure["text"]
    assert "Marked" not in text


def test_a_body_that_is_too_large_is_refused(config, rows):
    app, _ = deployment(config.model_copy(update={"most_body_bytes": 5000}))
    with on_socket(app, config) as base:
        assert ask(base, rows[:1]).status_code == 200
        declared = ask(base, rows[:20])
        assert declared.status_code == 413
        assert "5000 bytes" in declared.json()["error"]

        def parts():
            for _ in range(10):
                yield b"x" * 1000

        headers = {"Content-Type": "application/json"}
        streamed = httpx.post(f"{base}/v1/score", content=parts(), headers=headers, timeout=30)
        assert streamed.status_code == 413


def test_a_body_that_never_ends_is_given_up(config):
    app, _ = deployment(config.model_copy(update={"body_seconds": 0.3}))

    def parts():
        yield b'{"rows": ['
        time.sleep(1)
        yield b"]}"

    with on_socket(app, config) as base:
        headers = {"Content-Type": "application/json"}
        assert httpx.post(f"{base}/v1/score", content=parts(), headers=headers, timeout=30).status_code == 408


def test_rates_count_by_key_and_by_address(config, rows, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(TokenBuckets.__init__, "__defaults__", (lambda: now[0],))
    rate = config.rate.model_copy(update={"per_second": 0.1, "burst": 2})
    other = KEY[::-1]
    app, _ = deployment(config.model_copy(update={"rate": rate}), ApiKeys([KEY, other]))
    with TestClient(app) as client:
        headers = {"Authorization": f"Bearer {KEY}"}
        statuses = [score(client, rows[:1], headers=headers).status_code for _ in range(4)]
        assert statuses == [200, 200, 429, 429]
        refused = score(client, rows[:1], headers=headers)
        seconds = int(refused.headers["retry-after"])
        assert 1 < seconds <= 10
        assert score(client, rows[:1], headers={"Authorization": f"Bearer {other}"}).status_code == 200
        # Wrong keys share the bucket of their address, so they cannot be tried quickly.
        wrong = [
            score(client, rows[:1], headers={"Authorization": f"Bearer {n:032}"}).status_code for n in range(4)
        ]
        assert wrong == [401, 401, 429, 429]
        assert client.get("/healthz").status_code == 200
        now[0] += seconds - 1.1
        assert score(client, rows[:1], headers=headers).status_code == 429
        now[0] += 1.2
        assert score(client, rows[:1], headers=headers).status_code == 200


@pytest.mark.parametrize(
    "given", [None, "", "Bearer ", f"Bearer {KEY}x", f"Bearer {KEY[:-1]}", f"Basic {KEY}", KEY]
)
def test_without_the_key_nobody_is_answered(config, rows, given):
    app, _ = deployment(config, ApiKeys([KEY]))
    with TestClient(app) as client:
        headers = {} if given is None else {"Authorization": given}
        answer = score(client, rows[:1], headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert score(client, rows[:1], headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
            assert client.get(path).status_code == 200


def test_metrics_are_openmetrics(client, rows):
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    score(client, [{**rows[0], "race": "Martian"}, rows[1]])
    client.get("/v1/nowhere")
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    found = {family.name: family for family in text_string_to_metric_families(answer.text)}
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in found.values()
        for sample in family.samples
    }
    assert samples["zenml_serving_requests_total", ("route", "/v1/score"), ("status", "200")] == 1
    assert samples["zenml_serving_requests_total", ("route", "other"), ("status", "404")] == 1
    assert sum(value for key, value in samples.items() if key[0] == "zenml_serving_rows_total") == 2
    assert samples["zenml_serving_unknown_categories_total", ("column", "race"), ("version", "1")] == 1
    assert [key[2] for key in samples if key[0] == "zenml_serving_model"] == [("version", "1")]
    assert samples["zenml_serving_problem",] == 0
    buckets = [
        v for k, v in samples.items() if k[0] == "zenml_serving_request_seconds_bucket" and "/v1/score" in str(k)
    ]
    assert all(low <= high for low, high in pairwise(buckets))


def test_ready_says_who_answers(client):
    answer = client.get("/readyz")
    assert answer.status_code == 200
    content = answer.json()
    assert content["ready"]
    assert content["model"]["version"] == 1
    assert content["problem"] is None
