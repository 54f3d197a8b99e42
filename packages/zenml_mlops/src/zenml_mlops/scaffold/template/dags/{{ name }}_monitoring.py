"""Look at each scored day, and at what became of the cases, whenever predictions are published."""

from datetime import timedelta

from airflow.sdk import DAG, Asset, Param

from zenml_airflow import ZenMLAnnounceOperator, ZenMLTaskGroup, dag_arguments, dag_settings

DOC = """
### Monitoring

Compares each scored day with what the version that scored it was evaluated on: inputs, risks, missing and new
values, number of rows; and, once the outcomes have arrived, the realised performance. Findings and reports are
published as `monitoring/date=D`; `mlops report open` shows them.

* **It starts when predictions are published.** One run looks at all days that were published meanwhile.
* **Trigger by hand** with the param `date` to look at a day again: the same data gives the same findings.
* **A new alert** is told once, and starts the training DAG where the configuration says so.
"""

settings = dag_settings(__file__)
assets = {"retraining": Asset(f"{settings.use_case}_retraining")}

with DAG(
    dag_id=f"{settings.use_case}_monitoring",
    description="Look for drift, bad data, missing rows and lost performance in the scored days",
    doc_md=DOC,
    tags=[settings.use_case, "monitoring", settings.environment],
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=4),
    params={
        "date": Param(
            None, type=["null", "string"], format="date", description="Day to look at; by default those published."
        )
    },
    **dag_arguments(settings, "monitoring", assets=[Asset(f"{settings.use_case}_predictions")]),
) as dag:
    group = ZenMLTaskGroup("monitoring", settings=settings)
    group >> ZenMLAnnounceOperator(task_id="announce", environment=settings.environment, assets=assets)
