"""Writes pipeline runs and model versions into the store that ZenML's own configuration names."""

import json
from datetime import UTC, datetime

DAG_ID = "sensor_lab"
DAY, DAY_AFTER = "2026-01-05", "2026-01-06"
PIPELINE = "lab_training"
MODEL = "lab_model"


def dag_run_id(day):
    return f"scheduled__{day}T00:00:00+00:00"


def seed():
    """Write two runs and two model versions; return their ids.

    The run of the first day is running, that of the second completed. The first version has passed its gates.
    """
    from zenml.client import Client
    from zenml.config.pipeline_configurations import PipelineConfiguration
    from zenml.enums import ExecutionStatus, MetadataResourceTypes
    from zenml.models import PipelineRequest, PipelineSnapshotRequest, RunMetadataResource
    from zenml.orchestrators.publish_utils import publish_pipeline_run_status_update

    client = Client()
    store, project = client.zen_store, client.active_project.id
    pipeline = store.create_pipeline(PipelineRequest(name=PIPELINE, project=project))
    snapshot = store.create_snapshot(
        PipelineSnapshotRequest(
            project=project,
            pipeline=pipeline.id,
            stack=client.active_stack_model.id,
            run_name_template="lab",
            pipeline_configuration=PipelineConfiguration(name=PIPELINE),
            step_configurations={},
            client_version="0",
            server_version="0",
        )
    )
    run, completed = (_run(client, snapshot, day) for day in (DAY, DAY_AFTER))
    publish_pipeline_run_status_update(completed.id, ExecutionStatus.COMPLETED)
    client.create_model(name=MODEL)
    versions = [client.create_model_version(MODEL) for _ in range(2)]
    for version, passed in zip(versions, (True, False), strict=True):
        client.create_run_metadata(
            metadata={"gates": {"passed": passed}},
            resources=[RunMetadataResource(id=version.id, type=MetadataResourceTypes.MODEL_VERSION)],
        )
    return {
        "run": str(run.id),
        "completed": str(completed.id),
        "versions": [str(version.id) for version in versions],
        "store": store.url,
    }


def _run(client, snapshot, day):
    """A running run, named and tagged as the bridge does it."""
    from zenml.enums import ExecutionStatus
    from zenml.models import PipelineRunRequest

    from zenml_airflow.context import RunContext
    from zenml_airflow.runtime.records import RunKey, context_tags

    start = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    context = RunContext(
        logical_date=start,
        data_interval_start=start,
        data_interval_end=start,
        dag_id=DAG_ID,
        dag_run_id=dag_run_id(day),
        attempt_started_at=start,
        environment="local",
        storage_root="/nowhere",
    )
    key = str(RunKey(context.orchestrator_run_id, "group"))
    run, _ = client.zen_store.get_or_create_run(
        PipelineRunRequest(
            name=key,
            orchestrator_run_id=key,
            project=client.active_project.id,
            snapshot=snapshot.id,
            status=ExecutionStatus.RUNNING,
            start_time=datetime.now(UTC).replace(tzinfo=None),
            tags=context_tags(context),
        )
    )
    return run


if __name__ == "__main__":
    print(json.dumps(seed()))
