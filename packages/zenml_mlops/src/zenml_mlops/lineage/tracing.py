"""What `mlops trace` answers: the partitions on disk and the records of ZenML and the audit log put together."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any

from zenml_airflow.settings.project import every_use_case
from zenml_mlops.data.contract import Contract
from zenml_mlops.data.partitions import PartitionStore, file_sha256
from zenml_mlops.data.use_case import load_use_case
from zenml_mlops.inference.config import BatchInferenceConfig
from zenml_mlops.lineage import Kind, Lineage, Node, Report, State, backward, forward
from zenml_mlops.lineage.backward import Evidence, FoundRow
from zenml_mlops.lineage.nodes import facts, missing
from zenml_mlops.lineage.partitions import Stores, TraceError
from zenml_mlops.lineage.records import versions_of_run

if TYPE_CHECKING:
    from zenml.models import PipelineRunResponse

    from zenml_airflow.settings.project import Settings

_VERSION = re.compile(r"^(?:(?P<model>.+)/)?(?P<number>[1-9]\d*)$")
_PREDICTION = re.compile(r"^(?P<where>.+)/(?P<id>\d+)$")
_STATES = {
    Evidence.CONFIRMED: State.RECORDED,
    Evidence.GONE: State.MISSING,
    Evidence.UNKNOWN: State.MISSING,
    Evidence.CHANGED: State.CHANGED,
}


def stores_of(settings: Settings) -> Stores:
    """Where the partitions of an environment lie."""
    storage = settings.storage
    return Stores(
        PartitionStore(settings.resolve(storage.predictions)),
        PartitionStore(settings.resolve(storage.quarantine)),
        settings.resolve(storage.landing),
        storage.landing,
        load_use_case(settings.definition).contract,
    )


def trace_case(
    settings: Settings, case_id: int, day: date | None, *, replaced: bool, verify: bool = True
) -> Report:
    """Trace the predictions of a case, one tree for each.

    Raises:
        TraceError: If there is none.
        PartitionError: If a file of predictions that had to be read is gone.
    """
    stores = stores_of(settings)
    asked = {stores.contract.case: str(case_id), **({"date": day.isoformat()} if day else {})}
    found = backward.find_case(stores, case_id, day, replaced=replaced)
    return _report(settings, asked, case_id, found, verify=verify)


def trace_prediction(settings: Settings, named: str, *, verify: bool = True) -> Report:
    """Trace one prediction, named as ``RUN/ID`` or ``DATE/ID``, replaced ones included.

    Raises:
        TraceError: If there is none, or the name has another form.
        PartitionError: If a file of predictions that had to be read is gone.
    """
    match = _PREDICTION.match(named)
    if match is None:
        raise TraceError(f"--prediction expects RUN/ID or DATE/ID, found {named!r}.")
    case_id, where = int(match["id"]), match["where"]
    try:
        day, run = date.fromisoformat(where), None
    except ValueError:
        day, run = None, where
    found = backward.find_case(stores_of(settings), case_id, day, replaced=run is not None, run=run)
    return _report(settings, {"prediction": named}, case_id, found, verify=verify)


def trace_version(settings: Settings, named: str, *, verify: bool = True) -> Report:
    """Trace a model version, named as ``MODEL/NUMBER`` or ``NUMBER`` of the model that scores.

    Raises:
        TraceError: If ZenML has no such version, or the name has another form.
    """
    model, number = version_name(settings, named)
    tree = Lineage(_data_check(settings, verify=verify)).version(model, number)
    if tree.state is State.MISSING:
        raise TraceError(
            f"ZenML has no version {number} of a model {model!r}: `mlops models list` names what it has."
        )
    return Report(asked={"model_version": named}, trees=(tree,))


def trace_run(settings: Settings, named: str, *, verify: bool = True) -> Report:
    """Trace a ZenML run, by id or name: its Airflow run and code, the version it used, those that it trained.

    Raises:
        TraceError: If ZenML has no such run, and no partition names it.
    """
    lineage = Lineage(_data_check(settings, verify=verify))
    run = lineage.find_run(named)
    run_id = named if run is None else str(run.id)
    used = [one for own in every_use_case(settings) for one in _partitions_of(stores_of(own), run_id)]
    if run is None and not used:
        raise TraceError(
            f"ZenML has no run {named!r}, and no partition names it. Its id or its full name is needed."
        )
    versions = {(p.manifest.model_name, p.manifest.model_version, str(p.manifest.model_version_id)) for p in used}
    versions |= {(v.model.name, int(v.number), str(v.id)) for v in versions_of_run(run_id)}
    also = tuple(lineage.version(*version) for version in sorted(versions))
    return Report(asked={"run": named}, trees=(lineage.run(run_id, "run", also=also),))


def _report(
    settings: Settings, asked: dict[str, str], case_id: int, found: list[FoundRow], *, verify: bool
) -> Report:
    def training_row(run: PipelineRunResponse | None, data: dict[str, Any]) -> Node:
        return _training_row(stores.contract, run, data, case_id)

    stores = stores_of(settings)
    lineage = Lineage(_data_check(settings, verify=verify), training_row)
    return Report(asked=asked, trees=tuple(_row_tree(stores, lineage, case_id, row) for row in found))


def _row_tree(stores: Stores, lineage: Lineage, case_id: int, found: FoundRow) -> Node:
    what = "prediction" if found.scored else "quarantined row"
    values = {name: value for name, value in found.values.items() if name != stores.contract.row_id}
    manifest, run = found.partition.manifest, str(found.values["zenml_run_id"])
    changed = found.evidence is not Evidence.CONFIRMED
    return Node(
        kind=Kind.PREDICTION if found.scored else Kind.REFUSED_ROW,
        title=f"{what} of {stores.contract.case} {case_id}, {found.partition.day}",
        state=State.CHANGED if changed else State.RECORDED,
        note=f"{found.file.path} was changed after it was published" if changed else None,
        facts=facts(**{stores.contract.row_id: case_id}, file=found.file.path, row=found.row, **values),
        children=(
            _source_node(stores, found),
            _partition_node(found),
            lineage.run(run, "scored by" if found.scored else "refused by"),
            # Another run than the one that scored may have published, where outputs were reused.
            *((lineage.run(manifest.zenml_run_id, "published by"),) if manifest.zenml_run_id != run else ()),
            lineage.version(manifest.model_name, manifest.model_version, str(manifest.model_version_id)),
        ),
    )


def _source_node(stores: Stores, found: FoundRow) -> Node:
    source = backward.source_of(stores, found)
    where = found.partition.manifest.input_location or f"{stores.location}/date={found.partition.day}"
    if source.file is None:
        return missing(Kind.SOURCE_ROW, "source row", source.note or "")
    return Node(
        kind=Kind.SOURCE_ROW,
        title=f"row {source.row} of {where}/{source.file}",
        state=_STATES[source.evidence],
        note=source.note,
        facts=facts(file=f"{where}/{source.file}", sha256=source.sha256, row=source.row),
    )


def _partition_node(found: FoundRow) -> Node:
    manifest, current = found.partition.manifest, found.partition.current
    return Node(
        kind=Kind.PARTITION,
        title=f"partition of {found.partition.day}, {'current' if current else 'replaced since'}",
        facts=facts(
            current=current,
            published_at=manifest.published_at,
            rows_in=manifest.rows_in,
            scored=manifest.scored,
            quarantined=manifest.quarantined,
            threshold=manifest.decision_threshold,
            sha256={file.path: file.sha256 for file in manifest.files},
            published_by=manifest.zenml_run_id,
            dag=manifest.dag_id,
            dag_run=manifest.dag_run_id,
            environment=manifest.environment,
        ),
    )


def _training_row(contract: Contract, run: PipelineRunResponse | None, data: dict[str, Any], case_id: int) -> Node:
    from zenml_mlops.lineage.training_data import part_of

    what = f"{contract.case} {case_id}"
    last = data.get("last_row_id")
    if run is None and (last is None or case_id <= int(last)):
        note = "The training run is not here, so whether the row was among its data is unknown."
        return missing(Kind.TRAINING_ROW, what, note)
    try:
        part = run and part_of(run, contract.row_id, case_id, None if last is None else int(last))
    except (FileNotFoundError, RuntimeError) as error:
        return missing(Kind.TRAINING_ROW, what, str(error))
    if part is None:
        return Node(kind=Kind.TRAINING_ROW, title=f"{what} was not among it", facts=facts(used=False))
    name, row = part
    title = f"{what} was row {row} of its part {name}"
    return Node(kind=Kind.TRAINING_ROW, title=title, facts=facts(used=name == "train", part=name, row=row))


def _data_check(settings: Settings, *, verify: bool) -> Any:
    from fsspec.core import url_to_fs

    def check(location: str, sha256: str) -> str | None:
        fs, path = url_to_fs(settings.resolve(location))
        if not fs.exists(path):
            return "The file is gone."
        found = file_sha256(fs, path)
        return None if found == sha256 else f"Another file is there now, with sha256 {found}."

    return check if verify else None


def _partitions_of(stores: Stores, run_id: str) -> list[Any]:
    try:
        return [one.partition for one in forward.affected_by_run(stores, run_id, replaced=True)]
    except TraceError:
        return []


def version_name(settings: Settings, named: str) -> tuple[str, int]:
    """Model and number of a version that is named as ``MODEL/NUMBER``, or ``NUMBER`` of the model that scores.

    Raises:
        TraceError: If the name has another form.
    """
    match = _VERSION.match(named)
    if match is None:
        raise TraceError(f"--model-version expects MODEL/NUMBER or NUMBER, found {named!r}.")
    if match["model"] is not None:
        return match["model"], int(match["number"])
    scoring = BatchInferenceConfig.from_settings(settings.model_dump())
    return scoring.model_name, int(match["number"])
