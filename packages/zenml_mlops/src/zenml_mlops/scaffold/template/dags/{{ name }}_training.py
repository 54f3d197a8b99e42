"""Train, evaluate, gate and register the model, once a week or on request."""

from datetime import timedelta

from airflow.sdk import DAG, Asset, Param

from zenml_airflow import ZenMLTaskGroup, dag_arguments, dag_settings

DOC = """
### Training

Trains one model on all rows up to the holdout, measures it on the latest of them, and registers a model
version if every gate passes. A version enters production by promotion, never by training alone.

* **Trigger by hand** with the param `estimator` to try another one.
* **A red `quality_gate`** means the model missed a limit: the task's log lists each value beside its limit.
* **Clear a task** to run it and what follows again; results of earlier tasks are reused.
* **An alert of the monitoring DAG** starts it too, where `retrain_on` in `configs/` names its kind.
* **A registered version** starts the promotion DAG.
"""

settings = dag_settings(__file__)

with DAG(
    dag_id=f"{settings.use_case}_training",
    description="Train and gate the model",
    doc_md=DOC,
    tags=[settings.use_case, "training", settings.environment],
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=4),
    params={
        "estimator": Param(
            None,
            type=["null", "string"],
            enum=[None, "hist_gradient_boosting", "logistic_regression"],
            description="Estimator of this run; the configured one by default.",
        )
    },
    **dag_arguments(settings, "training", assets=[Asset(f"{settings.use_case}_retraining")]),
) as dag:
    ZenMLTaskGroup("training", outlets=[Asset(f"{settings.use_case}_candidate")], settings=settings)
