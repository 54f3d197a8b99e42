"""Close ZenML runs that were left open by tasks that were killed outright."""

from datetime import timedelta

from airflow.sdk import DAG

from zenml_airflow import ZenMLReconcileOperator, dag_arguments, dag_settings

DOC = """
### ZenML maintenance

A task whose process was killed (out of memory, a lost machine) cannot tell ZenML. This DAG finds ZenML runs that
are still open although their Airflow run has ended, and closes them with the reason. `mlops reconcile` does the
same by hand.
"""

settings = dag_settings(__file__)

with DAG(
    dag_id="zenml_maintenance",
    description="Close ZenML runs whose Airflow run has ended",
    doc_md=DOC,
    tags=["platform", settings.environment],
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=10),
    **dag_arguments(settings, "maintenance"),
) as dag:
    ZenMLReconcileOperator(
        task_id="close_ended_runs", environment_name=settings.environment, execution_timeout=timedelta(minutes=5)
    )
