"""Print the ZenML runs of a pipeline as JSON: what the store itself says, read in a process of its own."""

import json
import sys

from zenml_mlops.environment.process import enter

enter("local")

from zenml.client import Client  # noqa: E402

runs = []
for run in Client().list_pipeline_runs(pipeline=sys.argv[1], size=500, hydrate=True, sort_by="created").items:
    steps = {
        name: {"status": step.status.value, "version": step.version, "id": str(step.id)}
        for name, step in run.steps.items()
    }
    runs.append(
        {
            "id": str(run.id),
            "name": run.name,
            "status": run.status.value,
            "key": run.orchestrator_run_id,
            "original": str(run.original_run.id) if run.original_run else None,
            "tags": sorted(tag.name for tag in run.tags),
            "metadata": {
                key: value
                for key, value in run.run_metadata.items()
                if isinstance(value, str | int | float | dict)
            },
            "steps": steps,
            "expected": sorted(run.snapshot.step_configurations) if run.snapshot else [],
        }
    )
json.dump(runs, sys.stdout, default=str)
