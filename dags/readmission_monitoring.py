"""Evaluate each scored day, and the outcomes of its cases, whenever predictions are published."""

from datetime import timedelta

from airflow.sdk import DAG, Asset, Param

from zenml_airflow import ZenMLPublishEventsOperator, ZenMLTaskGroup, dag_arguments, dag_settings

DOC = """
### Monitoring

Compares each scored day with what the version that scored it was evaluated on: inputs, risks, missing and new
values, number of rows; and, once the outcomes have arrived, the realised performance. Findings and reports are
published as `monitoring/date=D`; `mlops report open` shows them.

* **It starts when predictions are published.** One run looks at all days that were published meanwhile.
* **Trigger by hand** with the param `date` to evaluate a day again: the same data gives the same findings.
* **A new alert** is sent once, and starts the training DAG where the configuration says so.
"""

settings = dag_settings(__file__)
assets = {"retraining": Asset(f"{settings.use_case}_retraining")}

with DAG(
    dag_id=f"{settings.use_case}_monitoring",
    description="Check the scored days for drift, bad data, missing rows and lost performance",
    doc_md=DOC,
    tags=[settings.use_case, "monitoring", settings.environment],
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=4),
    params={
        "date": Param(
            None,
            type=["null", "string"],
            format="date",
            description="Day to evaluate; by default those published.",
        )
    },
    **dag_arguments(settings, "monitoring", assets=[Asset(f"{settings.use_case}_predictions")]),
) as dag:
    group = ZenMLTaskGroup("monitoring", settings=settings)
    group >> ZenMLPublishEventsOperator(task_id="publish_events", environment=settings.environment, assets=assets)
