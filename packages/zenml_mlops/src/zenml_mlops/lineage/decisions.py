"""What gates, persons and promotions decided about a model version, and what another server did before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from zenml.models import ModelVersionResponse

from zenml_airflow.contracts.model_records import GateResults, approvals, gate_results
from zenml_airflow.contracts.origins import SERVER_LINK, Hop, Origin
from zenml_mlops.lineage.nodes import Kind, Node, State, facts, missing
from zenml_mlops.promotion.records import PAST, Record


def gates_nodes(version: ModelVersionResponse, origin: Origin | None) -> Iterator[Node]:
    """The verdicts of the gates on a version; for an imported one, first those of the server that trained it."""
    there = GateResults.of(origin.run.gates) if origin else None
    here = gate_results(version.run_metadata)
    if there:
        yield _gates(there, State.IMPORTED)
    if here:
        yield _gates(here, State.RECORDED)
    if not there and not here:
        yield missing(Kind.GATES, "gates", "The version has no verdicts of gates.")


def _gates(found: GateResults, state: State) -> Node:
    verdicts = [one.model_dump(exclude_unset=True) for one in found.verdicts]
    said = f"failed: {', '.join(found.failed)}" if found.failed else f"all {len(verdicts)} verdicts passed"
    known = {"passed": not found.failed, "verdicts": verdicts}
    return Node(kind=Kind.GATES, title=f"gates: {said}", state=state, facts=known)


def approval_nodes(version: ModelVersionResponse) -> Iterator[Node]:
    """The decisions of persons, the oldest first."""
    decided = approvals(version.run_metadata)
    if not decided:
        yield Node(kind=Kind.APPROVAL, title="no person has decided about it", state=State.NONE)
    for one in decided:
        word = "approved" if one.approved else "rejected"
        yield Node(
            kind=Kind.APPROVAL,
            title=f"{word} for {one.stage} by {one.by}",
            state=State.IMPORTED if SERVER_LINK in one.links else State.RECORDED,
            facts=facts(**one.links) | facts(at=one.at, reason=one.reason),
        )


def transition_nodes(model: str, number: int, stage: str | None, records: Iterable[Record]) -> Iterator[Node]:
    """How the version entered and left its stages, the oldest first."""
    mine = [record for record in records if number in {record.plan.version, *record.plan.displaced}]
    for record in mine:
        plan, outcome = record.plan, record.outcome
        moved = PAST[plan.kind] if plan.version == number else "displaced"
        into = plan.stage if plan.version == number else f"by version {plan.version}"
        yield Node(
            kind=Kind.TRANSITION,
            title=f"{moved}, {into}: {record.state.value}, by {plan.actor}",
            facts=facts(**plan.links)
            | facts(
                transition=plan.id,
                at=plan.at,
                reason=plan.reason or None,
                came_from=plan.came_from,
                approved_by=plan.approval.by if plan.approval else None,
                waived=[waiver.policy for waiver in plan.waivers] or None,
                environment=plan.environment,
                ended=outcome.at if outcome else None,
                detail=outcome.detail if outcome else None,
            ),
        )
    if stage is not None and not any(record.done for record in mine):
        yield missing(
            Kind.TRANSITION,
            f"promotion to {stage}",
            f"{model} version {number} is in {stage}, and no recorded transition put it there.",
        )
    elif not mine:
        yield Node(kind=Kind.TRANSITION, title="it was never in a stage", state=State.NONE)


def origin_node(origin: Origin) -> Node:
    """The way that a version came, with the changes of stages on the servers before this one."""
    return Node(
        kind=Kind.ORIGIN,
        title=f"imported from {origin.last.server}",
        state=State.IMPORTED,
        facts=facts(by=origin.imported_by, at=origin.imported_at),
        children=tuple(map(_hop, origin.hops)),
    )


def source_run_node(origin: Origin, lock: str | None, data: Node) -> Node:
    """The training run, which is on another server.

    Args:
        lock: Digest of the dependency lock that it ran with, if it is recorded.
    """
    run, commit = origin.run, origin.commit
    started = (
        Node(
            kind=Kind.AIRFLOW_RUN,
            title=f"Airflow run {run.dag_id} / {run.dag_run_id}",
            state=State.IMPORTED,
            facts=facts(dag=run.dag_id, run=run.dag_run_id, logical_date=run.logical_date),
        )
        if run.dag_id and run.dag_run_id
        else missing(Kind.AIRFLOW_RUN, "Airflow run", "The import does not say who started the run.")
    )
    code = (
        Node(kind=Kind.CODE, title=f"commit {commit[:12]}", state=State.IMPORTED, facts=facts(commit=commit))
        if commit
        else missing(Kind.CODE, "code", "The import does not say which commit it was trained from.")
    )
    return Node(
        kind=Kind.ZENML_RUN,
        title=f"training run {run.name} on another server",
        state=State.IMPORTED,
        facts=facts(run=run.id, **run.model_dump(exclude={"gates", "id"})),
        children=(started, code, _lock(lock), data),
    )


def _lock(digest: str | None) -> Node:
    if digest is None:
        return missing(Kind.LOCK, "dependency lock", "The import does not say which one the run had.")
    title = f"dependency lock {digest[:12]}"
    return Node(kind=Kind.LOCK, title=title, state=State.IMPORTED, facts=facts(sha256=digest))


def _hop(hop: Hop) -> Node:
    return Node(
        kind=Kind.ORIGIN,
        title=f"bundle of {hop.server} version {hop.version}",
        state=State.IMPORTED,
        facts=facts(
            bundle=hop.bundle,
            signer=hop.signer or "nobody",
            fingerprint=hop.fingerprint,
            version_id=hop.version_id,
        ),
        children=tuple(
            Node(
                kind=Kind.TRANSITION,
                title=f"{link.kind} to {link.stage}: {link.state}, by {link.by}",
                state=State.IMPORTED,
                facts=facts(**link.model_dump()),
            )
            for link in hop.chain
        ),
    )
