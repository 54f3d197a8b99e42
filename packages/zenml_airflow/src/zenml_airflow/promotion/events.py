"""Published events of a pipeline: notifications and asset updates, as the steps recorded them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias, BaseOperator

from zenml_airflow.alerts import notify
from zenml_airflow.dags import task_settings
from zenml_airflow.operators.processes import enter_zenml
from zenml_airflow.promotion.approval import TASK_LIMIT

if TYPE_CHECKING:
    from airflow.sdk import Context

NOTIFICATIONS = "notifications"
"""Metadata of a ZenML run: a list of texts, the notifications to send."""

ASSET_EVENTS = "asset_events"
"""Metadata of a ZenML run: by name, what the update of an asset is to carry; an asset without an entry stays."""


class PublishedEventError(RuntimeError):
    """The steps ask for the update of an asset that the task does not know."""


class ZenMLPublishEventsOperator(BaseOperator):
    """Sends the notifications that the steps before it recorded, and updates the assets that they name.

    It stands behind the task group of a pipeline. An outlet of a group is updated whenever the group succeeds;
    what a pipeline *found* may update an asset or not, which only its run can say.

    Args:
        assets: The assets that may be updated, by the name that the steps use.
    """

    ui_color = "#e6dcf7"

    def __init__(self, *, environment: str, assets: Mapping[str, Asset], **kwargs: Any) -> None:
        kwargs.setdefault("execution_timeout", TASK_LIMIT)
        self.alias = AssetAlias(f"published_by_{kwargs['task_id']}")
        # Airflow shows and schedules only on assets that some DAG names; the alias alone names none.
        super().__init__(inlets=[*assets.values()], outlets=[self.alias], **kwargs)
        self.environment = environment
        self.assets = dict(assets)

    def execute(self, context: Context) -> dict[str, list[str]]:
        """Notify and update, and return the texts and the names of the assets.

        Raises:
            PublishedEventError: If the steps name an asset that the task does not know; no notification is sent.
        """
        enter_zenml(task_settings(self, self.environment))
        recorded = context["ti"].xcom_pull(task_ids=sorted(self.upstream_task_ids))
        texts: list[str] = []
        events: dict[str, Any] = {}
        for found in filter(None, recorded):
            metadata = found.get("metadata", {})
            texts += metadata.get(NOTIFICATIONS, [])
            events |= metadata.get(ASSET_EVENTS, {})
        if unknown := sorted(events.keys() - self.assets.keys()):
            raise PublishedEventError(
                f"The steps ask for the update of {unknown}; task {self.task_id!r} knows {sorted(self.assets)}: "
                "name the asset in the DAG file."
            )
        for text in texts:
            self.log.info("%s", text)
            notify(text)
        for name, extra in events.items():
            context["outlet_events"][self.alias].add(self.assets[name], extra=extra)
        return {"notified": texts, "updated": sorted(events)}
