"""``python -m benchmarks.prepare``: what the contenders need beside a deployed pipeline.

Runs in a process of its own, so that the benchmark itself never imports ZenML. Works on the state folder that
``MLOPS_STATE_DIR`` names, in which the pipelines are deployed and a version is in production.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from benchmarks.facts import Facts
from zenml_mlops.environment.process import enter

if TYPE_CHECKING:
    from zenml_airflow.settings.project import Settings

PIPELINE = "batch_inference"
STOCK_STACK = "bench-stock"


def main() -> None:
    """Write :class:`~benchmarks.facts.Facts` into the state folder."""
    settings = enter(None)
    from zenml.utils import source_utils

    from zenml_airflow.runtime.active_stack import active_stack
    from zenml_mlops.environment.deployments import pipelines
    from zenml_mlops.inference.champion import find_champion

    source_utils.set_custom_source_root(str(settings.project_root))
    own, spec = pipelines(settings, [PIPELINE])[PIPELINE]
    config: Any = spec.config_class.from_settings(own.model_dump())
    champion = find_champion(config.model_name, config.stage.value)
    stack = _stock_stack()
    with active_stack(stack):
        snapshot = _stock_snapshot(spec, config)
    Facts(
        stock_snapshot=str(snapshot.id),
        stock_stack=str(stack),
        steps=list(snapshot.step_configurations),
        model=str(_export_model(settings, champion.model_artifact_id)),
        champion=champion.model_dump(mode="json"),
        config=config.model_dump(mode="json"),
    ).write(settings.state_dir)


def _stock_stack() -> UUID:
    """The environment's stack with ZenML's own Airflow orchestrator in place of this project's."""
    from zenml.client import Client
    from zenml.enums import StackComponentType

    client = Client()
    known = client.list_stacks(name=STOCK_STACK, size=1).items
    if known:
        return known[0].id
    client.create_stack_component(
        name=STOCK_STACK,
        flavor="airflow",
        component_type=StackComponentType.ORCHESTRATOR,
        configuration={"local": "true"},
    )
    parts: dict[StackComponentType, str | UUID] = {
        StackComponentType.ORCHESTRATOR: STOCK_STACK,
        StackComponentType.ARTIFACT_STORE: "local_files",
        StackComponentType.EXPERIMENT_TRACKER: "mlflow",
    }
    return client.create_stack(name=STOCK_STACK, components=parts).id


def _stock_snapshot(spec: Any, config: Any) -> Any:
    """Compile batch inference for the stock orchestrator, without building an image."""
    from zenml.config import DockerSettings

    from zenml_airflow import Provenance

    docker = DockerSettings(skip_build=True, parent_image="none")
    pipeline = spec.load().with_options(settings={"docker": docker})
    pipeline.prepare(config=config, provenance=Provenance())
    return pipeline.create_snapshot(name=STOCK_STACK)


def _export_model(settings: Settings, artifact: UUID) -> Path:
    """Write the production model as a joblib file, which is how a plain DAG would keep it."""
    import joblib
    from zenml.artifacts.utils import load_artifact

    path = settings.state_dir / "plain" / "model.joblib"
    path.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump(load_artifact(artifact), path)
    return path


if __name__ == "__main__":
    main()
