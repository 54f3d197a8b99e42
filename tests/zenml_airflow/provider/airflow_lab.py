"""Asks a real Airflow, with its own database and API, about the provider; prints the answers as JSON.

Run as a script, in a process whose variables say where Airflow lives and how the ZenML server is reached. A
connection comes on standard input.
"""

import json
import sys
from pathlib import Path


def main(body):
    sys.path.insert(0, str(Path(__file__).with_name("dags")))
    from provider_lab import dag

    run = dag.test()
    states = {ti.task_id: ti.state for ti in run.get_task_instances()}

    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    with TestClient(create_app(apps="core"), base_url="http://localhost") as api:
        token = api.get("/auth/token").json()["access_token"]
        api.headers["Authorization"] = f"Bearer {token}"
        forms = {form["connection_type"]: form for form in api.get("/ui/connections/hook_meta").json()}
        task = f"/api/v2/dags/provider_lab/dagRuns/{run.run_id}/taskInstances"
        answers = {
            "states": states,
            "form": forms.get("zenml"),
            "good": api.post("/api/v2/connections/test", json=body).json(),
            "bad": api.post("/api/v2/connections/test", json={**body, "password": "ZENKEY_wrong"}).json(),
            "links": api.get(f"{task}/record/links").json(),
            "found": api.get(f"{task}/wait/xcomEntries/return_value").json(),
        }
    print("\n" + json.dumps(answers))


if __name__ == "__main__":
    main(json.loads(sys.stdin.read()))
