"""Deploys a pipeline on a stack that then belongs to staging, and starts its steps as the bridge does.

Prints what came of it as JSON. Runs in a process of its own, since steps run from a code archive.
"""

import json
import sys
from datetime import date
from pathlib import Path

from zenml_mlops.environment.process import enter
from zenml_mlops.environment.stack_changes import apply_stack
from zenml_mlops.environment.stack_files import stack_id

settings = enter("local")

from zenml.client import Client  # noqa: E402
from zenml.utils import source_utils  # noqa: E402

from zenml_airflow.context import cli_context  # noqa: E402
from zenml_airflow.deploy.deploy import deploy_pipeline  # noqa: E402
from zenml_airflow.manifest.manifest import PolicyVerdict, read_manifest, write_manifest  # noqa: E402
from zenml_airflow.runtime.active_stack import active_stack  # noqa: E402
from zenml_airflow.runtime.runner import StepsRequest, run_steps  # noqa: E402
from zenml_mlops.policy.facts import ENVIRONMENT_LABEL  # noqa: E402

source_utils.set_custom_source_root(str(settings.project_root))
sys.path.insert(0, str(settings.project_root))
from guarded.pipeline import MARK, guarded  # noqa: E402

apply_stack(settings)
said = (PolicyVerdict(policy="pipeline-labels", mode="enforce", passed=False, message="it has no owner"),)
with active_stack(stack_id(settings, scheduled=True)):
    manifest, path = deploy_pipeline(guarded, {}, settings=settings, packages=["guarded"], policies=said)

# A manifest that was edited by hand, with a checksum to fit.
forged = manifest.model_copy(update={"policies": (said[0].model_copy(update={"passed": True}),)})
write_manifest(forged, path.parent)
assert read_manifest(path, "guarded").policies[0].passed


def start(day):
    context = cli_context(date.fromisoformat(day), environment="local", storage_root=str(settings.state_dir))
    request = StepsRequest(
        group_id="guarded",
        snapshot_id=manifest.snapshot_id,
        code_digest=manifest.code.digest,
        steps=("leave_mark",),
        placed=("leave_mark",),
        last_try=True,
    )
    Path(MARK).unlink(missing_ok=True)
    try:
        run_steps(request, context, code_cache=settings.state_dir / "code")
        error = ""
    except Exception as caught:  # noqa: BLE001 - the outcome is what is asked for
        cause = caught.__cause__ or caught
        error = f"{type(cause).__name__}: {cause}"
    runs = Client().list_pipeline_runs(sort_by="desc:created", size=1).items
    return {"error": error, "ran": Path(MARK).exists(), "run": runs[0].status.value}


found = {"local": start("2026-01-05")}
Client().update_stack(stack_id(settings, scheduled=True), labels={ENVIRONMENT_LABEL: "staging"})
# ZenML asks a pipeline's on_init once a process: this one stands for the worker of another task.
from zenml.steps.step_context import get_or_create_run_context  # noqa: E402

get_or_create_run_context().initialized = False
found["staging"] = start("2026-01-06")
print(json.dumps(found))
