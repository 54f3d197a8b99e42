"""From a model version or a run to everything that ZenML and the audit log know of how it came to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from zenml.client import Client
from zenml.models import ModelVersionResponse, PipelineRunResponse

from zenml_airflow.contracts.origins import Origin, origin_of
from zenml_mlops.lineage.auditing import AuditTrail
from zenml_mlops.lineage.code import code_node
from zenml_mlops.lineage.decisions import (
    approval_nodes,
    gates_nodes,
    origin_node,
    source_run_node,
    transition_nodes,
)
from zenml_mlops.lineage.nodes import Kind, Node, State, facts, missing
from zenml_mlops.promotion.records import history
from zenml_mlops.promotion.versions import producer, stage_of, training_of, versions

DataCheck = Callable[[str, str], str | None]
"""Given location and digest of training data, says in a sentence what is different now; ``None`` if nothing is."""
RowsOf = Callable[[PipelineRunResponse | None, dict[str, Any]], Node | None]
"""Given the training run and what it recorded, tells of the row that is traced, if one is."""


class Lineage:
    """Reads the records; each model version and each run is looked up once.

    Args:
        check_data: Compares training data with what was recorded of it; nothing is compared by default.
        rows_of: Tells whether the traced row was among the training data.
    """

    def __init__(self, check_data: DataCheck | None = None, rows_of: RowsOf | None = None) -> None:
        self._check_data, self._rows_of = check_data, rows_of
        self._audit = AuditTrail()
        self._runs: dict[str, PipelineRunResponse | None] = {}
        self._versions: dict[tuple[str, int, str | None], Node] = {}

    def find_run(self, run: str) -> PipelineRunResponse | None:
        """A run by its id or its full name; ``None`` if ZenML has none."""
        if run not in self._runs:
            self._runs[run] = _run(run)
        return self._runs[run]

    def version(self, model: str, number: int, version_id: str | None = None) -> Node:
        """A model version and all that led to it.

        Args:
            version_id: Its id, if it is recorded; another version of that number is not taken for it.
        """
        key = (model, number, version_id)
        if key not in self._versions:
            self._versions[key] = self._version(*key)
        return self._versions[key]

    def run(self, run_id: str, title: str, *, also: tuple[Node, ...] = ()) -> Node:
        """A run with its Airflow run, its code and its entries in the audit log.

        Args:
            title: What it did, in a word.
            also: What else it came from.
        """
        run = self.find_run(run_id)
        if run is None:
            return Node(
                kind=Kind.ZENML_RUN,
                title=f"{title} {run_id}",
                state=State.MISSING,
                note="ZenML has no run of this id: it was deleted, or another server has it.",
                facts=facts(run=run_id),
                children=(self._audit.of_run(run_id), *also),
            )
        children = (airflow_node(run.run_metadata), code_node(run), self._audit.of_run(str(run.id)), *also)
        replaced = run.original_run
        return Node(
            kind=Kind.ZENML_RUN,
            title=f"{title} {run.name}",
            facts=facts(
                run=run.id,
                pipeline=run.pipeline.name if run.pipeline else None,
                status=run.status.value,
                started=run.start_time,
                ended=run.end_time,
                environment=run.run_metadata.get("environment"),
                replaces=replaced.id if replaced else None,
            ),
            children=children,
        )

    def _version(self, model: str, number: int, version_id: str | None) -> Node:
        title = f"{model} version {number}"
        found = _model_version(model, number, version_id)
        if found is None:
            return Node(
                kind=Kind.MODEL_VERSION,
                title=title,
                state=State.MISSING,
                note="ZenML has no such version: it was deleted, or another server has it.",
                facts=facts(version_id=version_id),
                children=(self._audit.of_version(model, number, version_id),),
            )
        origin = origin_of(found.run_metadata)
        return Node(
            kind=Kind.MODEL_VERSION,
            title=title,
            state=State.IMPORTED if origin else State.RECORDED,
            facts=facts(version_id=found.id, stage=stage_of(found) or "none", created=found.created),
            children=(
                *((origin_node(origin),) if origin else ()),
                *gates_nodes(found, origin),
                *approval_nodes(found),
                *transition_nodes(model, number, stage_of(found), history(model)),
                *self._training(found, origin),
                self._audit.of_version(model, number, str(found.id)),
            ),
        )

    def _training(self, version: ModelVersionResponse, origin: Origin | None) -> Iterator[Node]:
        made = training_of(version)
        if origin is not None:
            lock = (made.get("provenance") or {}).get("lock")
            yield source_run_node(origin, lock, self._data(made, None, origin))
            return
        run = producer(version)
        run_id = made.get("zenml_run_id") if run is None else str(run.id)
        data = self._data(made, run, None)
        if run_id is None:
            note = "Neither the version nor its model artifact names the run."
            yield missing(Kind.ZENML_RUN, "training run", note)
            yield data
        else:
            yield self.run(str(run_id), "training run", also=(data,))

    def _data(self, made: dict[str, Any], run: PipelineRunResponse | None, origin: Origin | None) -> Node:
        data = made.get("data")
        if not isinstance(data, dict) or "sha256" not in data:
            known = origin.data_digest if origin else None
            if known is None:
                note = "The version does not say what it was trained on."
                return missing(Kind.TRAINING_DATA, "training data", note)
            data = {"sha256": known}
        where, digest = data.get("location"), str(data["sha256"])
        row = self._rows_of(run, data) if self._rows_of else None
        # The source lies where the version was trained: here there may be another file of that name.
        different = self._check_data(str(where), digest) if self._check_data and where and not origin else None
        state = State.IMPORTED if origin else State.RECORDED
        return Node(
            kind=Kind.TRAINING_DATA,
            title=f"training data {where or ''}".rstrip(),
            state=State.CHANGED if different else state,
            note=different,
            facts=facts(**data),
            children=() if row is None else (row,),
        )


def airflow_node(metadata: Any) -> Node:
    """The Airflow run that a ZenML run belongs to, as its context was recorded."""
    dag, run = metadata.get("dag_id"), metadata.get("dag_run_id")
    if not dag or not run:
        return missing(Kind.AIRFLOW_RUN, "Airflow run", "The run does not say who started it.")
    day = str(metadata.get("logical_date", "")) or None
    known = facts(dag=dag, run=run, attempt=metadata.get("attempt"), logical_date=day)
    if dag == "cli":
        title = f"no Airflow run: the command line, {run}"
        return Node(kind=Kind.AIRFLOW_RUN, title=title, state=State.NONE, facts=known)
    return Node(kind=Kind.AIRFLOW_RUN, title=f"Airflow run {dag} / {run}", facts=known)


def versions_of_run(run_id: str) -> list[ModelVersionResponse]:
    """The model versions that a run trained, here or on the server that they were imported from."""
    return [version for version in _all_versions() if run_id in _trained_by(version)]


def versions_trained_on(data: str) -> list[ModelVersionResponse]:
    """The model versions trained on data of this digest or at this location."""
    return [
        version
        for version in _all_versions()
        if (known := training_of(version).get("data")) and data in {known.get("sha256"), known.get("location")}
    ]


def _trained_by(version: ModelVersionResponse) -> set[str]:
    made, origin = training_of(version), origin_of(version.run_metadata)
    named = {str(made["zenml_run_id"])} if "zenml_run_id" in made else set()
    run = producer(version)
    return named | ({str(run.id)} if run else set()) | ({str(origin.run.id)} if origin else set())


def _all_versions() -> Iterator[ModelVersionResponse]:
    for model in Client().list_models(size=10_000, sort_by="asc:name"):
        yield from versions(model.name)


def _model_version(model: str, number: int, version_id: str | None) -> ModelVersionResponse | None:
    try:
        found = Client().get_model_version(model_name_or_id=model, model_version_name_or_number_or_id=number)
    except KeyError:
        return None
    return found if version_id is None or str(found.id) == version_id else None


def _run(named: str) -> PipelineRunResponse | None:
    client = Client()
    try:
        UUID(named)
    except ValueError:
        found = client.list_pipeline_runs(name=f"equals:{named}", size=1, hydrate=True).items
        return found[0] if found else None
    try:
        return client.get_pipeline_run(named, allow_name_prefix_match=False)
    except KeyError:
        return None
