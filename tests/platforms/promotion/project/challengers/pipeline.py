"""Stands where `champion_challenger` stands in the DAG: records a comparison in the same form."""

from zenml import get_step_context, log_metadata, pipeline, step
from zenml.client import Client

from zenml_airflow.context import get_run_context


@step(enable_cache=False)
def compare() -> None:
    """Record the verdict that the version plans; the model is named as the DAG is."""
    context, client = get_run_context(), Client()
    version = client.get_model_version(context.dag_id, int(context.params["version"]))
    champion = next(
        iter(client.list_model_versions(model=context.dag_id, stage=context.params["stage"]).items), None
    )
    planned = version.run_metadata["planned"]
    gain = {"better": 0.05, "worse": -0.05}.get(planned, 0.0)
    difference = {
        "metric": "average_precision",
        "challenger": 0.2 + gain,
        "champion": 0.2,
        "gain": gain,
        "lower": gain - 0.01,
        "upper": gain + 0.01,
        "verdict": planned,
    }
    recorded = {
        "comparison": {
            "challenger": int(version.number),
            **({"champion": int(champion.number)} if champion else {}),
            "verdict": planned,
            "reason": "The interval of average_precision says so.",
            "differences": [difference],
            "run": str(get_step_context().pipeline_run.id),
        }
    }
    log_metadata(metadata=recorded, run_id_name_or_prefix=get_step_context().pipeline_run.id)
    log_metadata(metadata=recorded, model_version_id=version.id)


@pipeline(name="champion_challenger", enable_cache=False)
def champion_challenger() -> None:
    """One step."""
    compare()
