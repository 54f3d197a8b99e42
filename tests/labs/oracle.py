"""Answers, for as long as it lives, what ZenML's store says of a DAG's runs: a DAG id in, a line of JSON out."""

import json
import sys

from zenml_mlops.environment.process import enter

enter("local")

from zenml.client import Client  # noqa: E402


def runs_of(dag_id):
    found = Client().list_pipeline_runs(
        orchestrator_run_id=f"startswith:{dag_id}/", size=500, hydrate=True, sort_by="created"
    )
    answer = []
    for run in found.items:
        steps = Client().list_run_steps(pipeline_run_id=run.id, size=100, sort_by="asc:version")
        tries = {}
        for step in steps.items:
            tries.setdefault(step.name, []).append(step.status.value)
        answer.append(
            {
                "id": str(run.id),
                "key": run.orchestrator_run_id,
                "status": run.status.value,
                "reason": run.get_body().status_reason,
                "original": str(run.original_run.id) if run.original_run else None,
                "dag_run": run.run_metadata.get("dag_run_id"),
                "attempt": run.run_metadata.get("attempt"),
                "snapshot": str(run.snapshot.id) if run.snapshot else None,
                "steps": {name: statuses[-1] for name, statuses in tries.items()},
                "tries": tries,
            }
        )
    return answer


print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps(runs_of(line.strip()), default=str), flush=True)
