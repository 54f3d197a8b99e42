"""Train, evaluate, gate and register the readmission model, once a week or on request."""

from datetime import timedelta

from airflow.sdk import DAG, Asset, Param

from zenml_airflow.dags import dag_arguments, dag_settings
from zenml_airflow.task_group import ZenMLTaskGroup

DOC = """
### Readmission risk: training

Trains one model on all encounters up to the holdout, measures it on the latest of them, and registers a model
version if every gate passes. A version enters production by promotion, never by training alone.

* **Trigger by hand** with the param `estimator` to try another one.
* **A red `quality_gate`** means the model missed a limit: the task's log lists each value beside its limit.
* **Clear a task** to run it and what follows again; results of earlier tasks are reused.
* **An alert of `readmission_monitoring`** starts it too, where `retrain_on` in `configs/` names its kind.
* **A registered version** starts `readmission_promotion`.
"""

settings = dag_settings(__file__)

with DAG(
    dag_id="readmission_training",
    description="Train and gate the readmission model",
    doc_md=DOC,
    tags=["readmission", "training", settings.environment],
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
    **dag_arguments(settings, "training", assets=[Asset("readmission_retraining")]),
) as dag:
    ZenMLTaskGroup("training", outlets=[Asset("readmission_candidate")], settings=settings)
