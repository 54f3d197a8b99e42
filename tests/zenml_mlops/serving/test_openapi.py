"""The service against its own OpenAPI document: what it promises to take and to refuse."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from serving_lab import KEY, on_socket

from zenml_mlops.serving.deployment import deployment
from zenml_mlops.serving.limits import ApiKeys
from zenml_pipelines.use_case.contract import CONTRACT
from zenml_pipelines.use_case.schema import ENCOUNTER_ID, PATIENT_ID

pytestmark = pytest.mark.trained

EXAMPLES = 60
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


def test_it_keeps_its_promises(put, config, tmp_path):
    put(1)
    # Long lists of rows teach nothing that short ones do not.
    app, _ = deployment(config.model_copy(update={"most_rows": 3}), ApiKeys([KEY]))
    with on_socket(app, config) as base:
        done = subprocess.run(
            [
                SCHEMATHESIS, "run", f"{base}/openapi.json", "--header", f"Authorization: Bearer {KEY}",
                "--max-examples", str(EXAMPLES), "--seed", "1", "--no-color", "--mode", "all",
            ],
            cwd=tmp_path,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "contract_hooks", "PYTHONPATH": str(Path(__file__).parent)},
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "Tested: 4" in done.stdout, done.stdout


def test_the_document_holds_the_contract_of_the_version_that_answers(put, config):
    put(1)
    app, _ = deployment(config, ApiKeys([KEY]))
    with TestClient(app) as client:
        document = client.get("/openapi.json").json()
    operation = document["paths"]["/v1/score"]["post"]
    assert operation["security"] == [{"key": []}]
    request = operation["requestBody"]["content"]["application/json"]["schema"]
    assert request["properties"]["rows"]["maxItems"] == config.most_rows
    row = document["components"]["schemas"]["Encounter"]
    assert row["additionalProperties"] is False
    rules = {rule.name: rule for rule in CONTRACT.columns}
    assert set(row["properties"]) == {name for name, rule in rules.items() if rule.feature} | {ENCOUNTER_ID}
    assert PATIENT_ID not in row["properties"]
    assert row["properties"]["time_in_hospital"]["minimum"] == 1
    assert row["properties"]["time_in_hospital"]["maximum"] == 14
    assert row["properties"]["gender"]["enum"] == list(rules["gender"].values)
    assert set(row["required"]) == {name for name in row["properties"] if rules[name].required}
