"""ZenML pipelines on Airflow: the bridge between the two.

What DAG files and steps use can be imported from here. A name is looked up when it is first asked for, so that a
step's process imports no Airflow, and a DAG file no more than it names.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from zenml_airflow.runtime.zenml_files import replace_zenml_files_whole
from zenml_airflow.runtime.zenml_sources import know_platform_sources

if TYPE_CHECKING:
    from zenml_airflow.context import RunContext, get_run_context
    from zenml_airflow.contracts.provenance import Provenance
    from zenml_airflow.dags import dag_arguments, dag_settings
    from zenml_airflow.deploy.deploy import deploy_pipeline
    from zenml_airflow.operators.maintenance import ZenMLReconcileOperator
    from zenml_airflow.promotion.approval import PromotionApprovalOperator
    from zenml_airflow.promotion.events import ZenMLPublishEventsOperator
    from zenml_airflow.promotion.tasks import (
        PromoteOperator,
        PromotionDecisionOperator,
        PromotionNotificationOperator,
    )
    from zenml_airflow.sensors.candidate import CandidateSensor
    from zenml_airflow.sensors.partition import PartitionSensor
    from zenml_airflow.sensors.zenml import ZenMLModelVersionSensor, ZenMLPipelineRunSensor
    from zenml_airflow.task_group import ZenMLTaskGroup

# Here, since every process that works with ZenML for Airflow comes through here, and before ZenML does.
replace_zenml_files_whole()
know_platform_sources()

__all__ = [
    "CandidateSensor",
    "PartitionSensor",
    "PromoteOperator",
    "PromotionApprovalOperator",
    "PromotionDecisionOperator",
    "PromotionNotificationOperator",
    "Provenance",
    "RunContext",
    "ZenMLModelVersionSensor",
    "ZenMLPipelineRunSensor",
    "ZenMLPublishEventsOperator",
    "ZenMLReconcileOperator",
    "ZenMLTaskGroup",
    "dag_arguments",
    "dag_settings",
    "deploy_pipeline",
    "get_run_context",
]
_HOMES = {
    "context": ("RunContext", "get_run_context"),
    "contracts.provenance": ("Provenance",),
    "dags": ("dag_arguments", "dag_settings"),
    "deploy.deploy": ("deploy_pipeline",),
    "operators.maintenance": ("ZenMLReconcileOperator",),
    "promotion.approval": ("PromotionApprovalOperator",),
    "promotion.events": ("ZenMLPublishEventsOperator",),
    "promotion.tasks": ("PromoteOperator", "PromotionDecisionOperator", "PromotionNotificationOperator"),
    "sensors.candidate": ("CandidateSensor",),
    "sensors.partition": ("PartitionSensor",),
    "sensors.zenml": ("ZenMLModelVersionSensor", "ZenMLPipelineRunSensor"),
    "task_group": ("ZenMLTaskGroup",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
