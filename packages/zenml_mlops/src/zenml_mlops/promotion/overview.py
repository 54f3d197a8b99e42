"""What stands in the stages now, as plain rows for people and machines."""

from __future__ import annotations

from typing import Any

from zenml.client import Client
from zenml.enums import ModelStages

from zenml_airflow.contracts.model_records import Approval, latest_approval
from zenml_airflow.contracts.origins import SERVER_LINK, Origin, origin_of
from zenml_mlops.promotion.errors import PromotionRefusedError
from zenml_mlops.promotion.records import history_of, withdrawn_versions
from zenml_mlops.promotion.versions import (
    code_of,
    describe_version,
    in_stage,
    producer,
    stage_of,
    unfinished,
    versions,
)

_ALL = 10_000


def overview() -> list[dict[str, Any]]:
    """A row for each model: ``model``, ``versions``, ``newest``, ``staging``, ``production`` (numbers)."""
    client = Client()
    rows = []
    for model in client.list_models(size=_ALL, sort_by="asc:name"):
        # A page of one: a model may have thousands of versions.
        page = client.list_model_versions(model=model.id, size=1, sort_by="desc:number")
        staging, production = (
            max(in_stage(model.name, stage.value), default=None)
            for stage in (ModelStages.STAGING, ModelStages.PRODUCTION)
        )
        rows.append(
            {
                "model": model.name,
                "versions": page.total,
                "newest": int(page.items[0].number) if page.items else None,
                "staging": staging,
                "production": production,
            }
        )
    return rows


def version_rows(model_name: str) -> list[dict[str, Any]]:
    """A row for each version of a model, the newest first.

    Raises:
        PromotionRefusedError: If the model has no version.
    """
    found = list(versions(model_name))
    if not found:
        raise PromotionRefusedError(
            f"No version of a model {model_name!r}: `mlops models list` names what there is."
        )
    withdrawn = withdrawn_versions(history_of(found))
    rows = []
    for version in found:
        run = producer(version)
        facts = describe_version(version, run, ModelStages.PRODUCTION.value)
        decided = latest_approval(version.run_metadata, ModelStages.PRODUCTION.value)
        failed = sorted(name for name, passed in facts.gates.items() if not passed)
        by = withdrawn.get(int(version.number))
        origin = origin_of(version.run_metadata)
        rows.append(
            {
                "version": int(version.number),
                "stage": stage_of(version),
                "gates": (f"failed: {', '.join(failed)}" if failed else "passed") if facts.gates else None,
                "decision": decided and _decision(decided),
                "withdrawn": by and by.reason,
                "commit": (code_of(version).get("commit") or "")[:12] or None,
                "run": run.name if origin is None and run is not None else origin and origin.run.name,
                "from": "an import that is not finished" if unfinished(version) else origin and str(origin),
                "created": f"{version.created:%Y-%m-%d %H:%M}",
                "origin": origin and origin.model_dump(mode="json"),
            }
        )
    return rows


def _decision(decided: Approval) -> str:
    place = f" on {decided.links[SERVER_LINK]}" if SERVER_LINK in decided.links else ""
    return f"{'approved' if decided.approved else 'rejected'} by {decided.by}{place}"


def imports(model_name: str) -> list[tuple[int, Origin]]:
    """The imported versions of a model with their origins, the newest first."""
    found = ((int(version.number), origin_of(version.run_metadata)) for version in versions(model_name))
    return [(number, origin) for number, origin in found if origin is not None]
