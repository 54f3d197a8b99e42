"""Buttons on an Airflow task that lead to its ZenML run and to its MLflow run.

Airflow asks a link for its URL in the task's own process when the task has ended, and keeps the answer as an XCom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink
from airflow.sdk.bases.xcom import BaseXCom

from zenml_airflow.client.run_urls import LinkTarget

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class _RunLink(BaseOperatorLink):
    target: LinkTarget

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The URL, or an empty string where the run has none.

        What the operator recorded comes first: a task that failed has returned nothing.
        """
        recorded: Any = getattr(operator, "recorded", None)
        if not recorded:
            key: Any = ti_key  # Airflow's protocol asks for attributes that can be set
            recorded = BaseXCom.get_value(ti_key=key, key=BaseXCom.XCOM_RETURN_KEY)
        links = recorded.get("links") if isinstance(recorded, dict) else None
        return str((links or {}).get(self.target.value, ""))


class ZenMLRunLink(_RunLink):
    """Leads to the ZenML run in ZenML's dashboard."""

    name = "ZenML run"
    target = LinkTarget.ZENML


class MLflowRunLink(_RunLink):
    """Leads to the run in MLflow that the task's steps logged to."""

    name = "MLflow run"
    target = LinkTarget.MLFLOW
