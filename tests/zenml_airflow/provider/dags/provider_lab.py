"""A DAG with a sensor on a ZenML run and an operator with links, for ``airflow_lab``."""

from airflow.sdk import DAG

from zenml_airflow.operators.local import ZenMLInProcessOperator
from zenml_airflow.sensors.zenml import ZenMLPipelineRunSensor


class Recording(ZenMLInProcessOperator):
    """Records a run without running a step: its links are what is looked at."""

    def execute(self, context):
        links = {"zenml": "https://z.example.com/projects/default/runs/r", "mlflow": "https://m.example.com/#/x"}
        return {"run_id": "r", "metadata": {}, "links": links}


with DAG("provider_lab", schedule=None, params={"day": "2026-01-06"}) as dag:
    wait = ZenMLPipelineRunSensor(
        task_id="wait",
        pipeline="lab_training",
        external_dag_id="sensor_lab",
        external_dag_run_id="scheduled__2026-01-06T00:00:00+00:00",
        logical_date="{{ params.day }}",
        zenml_conn_id="zenml_lab",
        poke_interval=0.5,
        timeout=60,
    )
    record = Recording(
        task_id="record",
        group_id="g",
        pipeline="p",
        snapshot_id="s",
        code_digest="d",
        steps=["a"],
        placed=["a"],
        environment_name="local",
    )
    wait >> record
