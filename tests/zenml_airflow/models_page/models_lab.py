"""What the page reads, put into the real databases: runs and approvals into Airflow's, versions into ZenML's."""

import uuid
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from airflow.models.dag import DagModel, DagTag
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.hitl import HITLDetail
from airflow.models.taskinstance import TaskInstance
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunType
from sqlalchemy import delete, insert

from zenml_airflow.manifest.manifest import pipeline_tag

MODEL = "plugin_lab_model"
BUNDLE, SCORING, PROMOTION, OTHER = "lab", "lab_scoring", "lab_promotion", "lab_other"
PIPELINE = "batch_inference"
ZONE = ZoneInfo("UTC")


def midnight(day):
    return datetime.combine(day, time.min, ZONE)


class AirflowLab:
    """Airflow's database."""

    def __init__(self):
        with create_session() as session:
            for table in (HITLDetail, TaskInstance, DagRun, DagTag, DagModel):
                session.execute(delete(table).execution_options(synchronize_session=False))
            session.merge(DagBundleModel(name=BUNDLE))

    def dag(self, dag_id, pipeline=None, *, paused=False, stale=False):
        with create_session() as session:
            session.add(
                DagModel(
                    dag_id=dag_id,
                    bundle_name=BUNDLE,
                    is_paused=paused,
                    is_stale=stale,
                    fileloc=f"/{dag_id}.py",
                    relative_fileloc=f"{dag_id}.py",
                    tags=[DagTag(name=pipeline_tag(pipeline), dag_id=dag_id)] if pipeline else [],
                )
            )

    def run(self, dag_id, run_id, state, *, day=None, due=None, conf=None):
        """A run for a logical date, or one by hand without."""
        with create_session() as session:
            session.add(
                DagRun(
                    dag_id=dag_id,
                    run_id=run_id,
                    logical_date=midnight(day) if day else None,
                    run_after=due or midnight(day) + timedelta(days=1),
                    state=DagRunState(state),
                    run_type=DagRunType.MANUAL,
                    conf=conf,
                )
            )

    def approval(self, dag_id, run_id, subject, *, state=TaskInstanceState.DEFERRED, assigned=(), answered=False):
        """A required action of a run that exists."""
        task = uuid.uuid4()
        with create_session() as session:
            session.execute(
                insert(TaskInstance.__table__).values(
                    id=task,
                    task_id="approval",
                    dag_id=dag_id,
                    run_id=run_id,
                    map_index=-1,
                    state=state,
                    try_number=1,
                    pool="default_pool",
                    pool_slots=1,
                    operator="PromotionApprovalOperator",
                )
            )
            session.add(
                HITLDetail(
                    ti_id=task,
                    options=["Approve", "Reject"],
                    subject=subject,
                    assignees=[{"id": name, "name": name} for name in assigned],
                    responded_at=datetime.now(UTC) if answered else None,
                )
            )


def describe(model, number, stage=None, **metadata):
    """Record something with a version, and put it into a stage."""
    from zenml.client import Client
    from zenml.enums import MetadataResourceTypes
    from zenml.models import RunMetadataResource

    client = Client()
    # By name: once Airflow is imported, ZenML may take a number for a moment, see `zenml_airflow.runtime.preload`.
    version = client.get_model_version(model, str(number))
    if metadata:
        client.create_run_metadata(
            metadata=metadata,
            resources=[RunMetadataResource(id=version.id, type=MetadataResourceTypes.MODEL_VERSION)],
        )
    if stage:
        client.update_model_version(model, version.id, stage=stage, force=True)


def gates(**results):
    verdicts = [{"gate": gate, "passed": passed, "evidence": f"{gate} was 1"} for gate, passed in results.items()]
    return {"passed": all(results.values()), "verdicts": verdicts}
