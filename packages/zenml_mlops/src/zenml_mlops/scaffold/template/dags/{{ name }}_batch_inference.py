"""Score each day's rows with the production model, once their partition is complete."""

from datetime import timedelta

from airflow.sdk import DAG, Asset, Param

from zenml_airflow import PartitionSensor, ZenMLTaskGroup, dag_arguments, dag_settings

DOC = """
### Daily batch inference

The run of day D waits for the completion marker of partition D, scores it with the model version that is in
production, and publishes `predictions/date=D` in one move.

* **Backfill** a date range to score it again: each day replaces its own partition and nothing else.
* **Clear a task** to run it and what follows again; results of earlier tasks are reused.
* **A waiting `partition_complete`** holds no worker: the triggerer watches the landing zone.
* **Trigger by hand** without a logical date scores the day named in the param `date`, or else today.
"""

settings = dag_settings(__file__)
predictions = Asset(f"{settings.use_case}_predictions")

with DAG(
    dag_id=f"{settings.use_case}_batch_inference",
    description="Score each day's rows with the production model",
    doc_md=DOC,
    tags=[settings.use_case, "batch-inference", settings.environment],
    catchup=False,
    max_active_runs=4,
    dagrun_timeout=timedelta(hours=24),
    params={
        "date": Param(
            None, type=["null", "string"], format="date", description="Day of a run without a logical date."
        )
    },
    **dag_arguments(settings, "batch_inference"),
) as dag:
    complete = PartitionSensor(task_id="partition_complete", environment=settings.environment)
    complete >> ZenMLTaskGroup("batch_inference", outlets=[predictions], settings=settings)
