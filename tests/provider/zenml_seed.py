"""Writes a pipeline run and two model versions into the store that ZenML's own configuration names."""

import json
from datetime import UTC, datetime

DAG_ID = "sensor_lab"
DAG_RUN_ID = "scheduled__2026-01-05T00:00:00+00:00"
DAY = "2026-01-05"
PIPELINE = "lab_training"
MODEL = "lab_model"


def seed():
    """Return the ids of a running pipeline run and of both versions; the first one has passed its gates."""
    from zenml.client import Client
    from zenml.config.pipeline_configurations import PipelineConfiguration
    from zenml.enums import ExecutionStatus, MetadataResourceTypes
    from zenml.models import PipelineRequest, PipelineRunRequest, PipelineSnapshotRequest, RunMetadataResource

    from zenml_airflow.context import RunContext
    from zenml_airflow.records import RunKey, context_tags

    day = datetime.fromisoformat(f"{DAY}T00:00:00+00:00")
    context = RunContext(
        logical_date=day,
        data_interval_start=day,
        data_interval_end=day,
        dag_id=DAG_ID,
        dag_run_id=DAG_RUN_ID,
        attempt_started_at=day,
        environment="local",
        storage_root="/nowhere",
    )
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
    key = str(RunKey(context.orchestrator_run_id, "group"))
    run, _ = store.get_or_create_run(
        PipelineRunRequest(
            name=key,
            orchestrator_run_id=key,
            project=project,
            snapshot=snapshot.id,
            status=ExecutionStatus.RUNNING,
            start_time=datetime.now(UTC).replace(tzinfo=None),
            tags=context_tags(context),
        )
    )
    client.create_model(name=MODEL)
    versions = [client.create_model_version(MODEL) for _ in range(2)]
    for version, passed in zip(versions, (True, False), strict=True):
        client.create_run_metadata(
            metadata={"gates": {"passed": passed}},
            resources=[RunMetadataResource(id=version.id, type=MetadataResourceTypes.MODEL_VERSION)],
        )
    return {"run": str(run.id), "versions": [str(version.id) for version in versions], "store": store.url}


if __name__ == "__main__":
    print(json.dumps(seed()))
