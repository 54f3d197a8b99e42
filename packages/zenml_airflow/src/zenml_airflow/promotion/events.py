"""What a pipeline has to say beyond its result: tell people, and update assets, as the steps recorded it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias, BaseOperator

from zenml_airflow.alerts import tell
from zenml_airflow.dags import task_settings
from zenml_airflow.operators.processes import enter_zenml
from zenml_airflow.promotion.approval import TASK_LIMIT

if TYPE_CHECKING:
    from airflow.sdk import Context

NOTICES = "notices"
"""Metadata of a ZenML run: a list of texts that people are to be told."""

ASSET_EVENTS = "asset_events"
"""Metadata of a ZenML run: by name, what the update of an asset is to carry; an asset without an entry stays."""


class AnnouncementError(RuntimeError):
    """The steps ask for the update of an asset that the task does not know."""


class ZenMLAnnounceOperator(BaseOperator):
    """Tells people what the steps before it recorded for them, and updates the assets that they name.

    It stands behind the task group of a pipeline. An outlet of a group is updated whenever the group succeeds;
    what a pipeline *found* may update an asset or not, which only its run can say.

    Args:
        assets: The assets that may be updated, by the name that the steps use.
    """

    ui_color = "#e6dcf7"

    def __init__(self, *, environment: str, assets: Mapping[str, Asset], **kwargs: Any) -> None:
        kwargs.setdefault("execution_timeout", TASK_LIMIT)
        self.alias = AssetAlias(f"announced_by_{kwargs['task_id']}")
        # Airflow shows and schedules only on assets that some DAG names; the alias alone names none.
        super().__init__(inlets=[*assets.values()], outlets=[self.alias], **kwargs)
        self.environment = environment
        self.assets = dict(assets)

    def execute(self, context: Context) -> dict[str, list[str]]:
        """Tell and update, and return the texts and the names of the assets.

        Raises:
            AnnouncementError: If the steps name an asset that the task does not know; nobody is told anything.
        """
        enter_zenml(task_settings(self, self.environment))
        recorded = context["ti"].xcom_pull(task_ids=sorted(self.upstream_task_ids))
        texts: list[str] = []
        events: dict[str, Any] = {}
        for found in filter(None, recorded):
            metadata = found.get("metadata", {})
            texts += metadata.get(NOTICES, [])
            events |= metadata.get(ASSET_EVENTS, {})
        if unknown := sorted(events.keys() - self.assets.keys()):
            raise AnnouncementError(
                f"The steps ask for the update of {unknown}; task {self.task_id!r} knows {sorted(self.assets)}: "
                "name the asset in the DAG file."
            )
        for text in texts:
            self.log.info("%s", text)
            tell(text)
        for name, extra in events.items():
            context["outlet_events"][self.alias].add(self.assets[name], extra=extra)
        return {"told": texts, "updated": sorted(events)}
