"""The evidence of an imported version, which its bundle brought along, as links of a lineage."""

from __future__ import annotations

from zenml_airflow.contracts.origins import Hop, Origin
from zenml_mlops.lineage.nodes import Kind, Node, State, facts, missing


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
        origin: Where the version comes from.
        lock: Digest of the dependency lock that it ran with, if it is recorded.
        data: What it was trained on.
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
    return Node(
        kind=Kind.LOCK, title=f"dependency lock {digest[:12]}", state=State.IMPORTED, facts=facts(sha256=digest)
    )


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
