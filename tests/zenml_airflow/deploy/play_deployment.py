"""Deploys a pipeline on an S3 store and runs its step, as who knows the store's keys from ZenML alone.

Prints what came of it as JSON. Runs in a process of its own, since steps run from a code archive.
"""

import json
import os
import sys
from datetime import date
from types import SimpleNamespace

from zenml_mlops.environment.deployments import deployment_context, load_pipeline
from zenml_mlops.environment.process import enter
from zenml_mlops.environment.stack_changes import apply_stack
from zenml_mlops.environment.stack_files import stack_id

settings = enter("local")

from zenml.client import Client  # noqa: E402
from zenml.utils import source_utils  # noqa: E402

from zenml_airflow.context import cli_context  # noqa: E402
from zenml_airflow.deploy.deploy import deploy_pipeline  # noqa: E402
from zenml_airflow.runtime.active_stack import active_stack  # noqa: E402
from zenml_airflow.runtime.runner import StepsRequest, run_steps  # noqa: E402

source_utils.set_custom_source_root(str(settings.project_root))
sys.path.insert(0, str(settings.project_root))
from wing.pipeline import wing  # noqa: E402

apply_stack(settings)
for name in ("LAB_KEY", "LAB_SECRET"):
    del os.environ[name]

with active_stack(stack_id(settings, scheduled=True)):
    with_defaults = load_pipeline(deployment_context(settings), SimpleNamespace(load=lambda: wing))
    manifest, path = deploy_pipeline(with_defaults, {}, settings=settings, packages=["wing"])

context = cli_context(date(2026, 1, 5), environment="local", storage_root=str(settings.state_dir))
request = StepsRequest(
    group_id="wing",
    snapshot_id=manifest.snapshot_id,
    code_digest=manifest.code.digest,
    steps=("where_from",),
    placed=("where_from",),
)
result = run_steps(request, context, code_cache=settings.state_dir / "code")
(artifact,) = Client().get_pipeline_run(result.run_id).steps["where_from"].outputs["output"]
print(
    json.dumps(
        {
            "status": result.steps["where_from"],
            "code": artifact.load(),
            "digest": manifest.code.digest,
            "manifest": path.read_text(encoding="utf-8"),
        }
    )
)
