"""The seam to imported versions: the evidence that a bundle brought along, as links of a lineage.

An import leaves one record with the version: which server trained it, by which run, with which gates. It is read
here as plain data, and only what is recorded is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zenml.models import ModelVersionResponse

from zenml_mlops.lineage.nodes import Kind, Node, State, facts, missing
from zenml_mlops.promotion.origins import ORIGIN_METADATA


@dataclass(frozen=True)
class Origin:
    """Where an imported version comes from."""

    content: dict[str, Any]

    @property
    def run_id(self) -> str:
        """Id of the training run on the server that trained it; empty if it is not recorded."""
        return str(self._run.get("id", ""))

    @property
    def gates(self) -> dict[str, bool]:
        """Result by gate on that server."""
        return dict(self._run.get("gates", {}))

    @property
    def data_digest(self) -> str | None:
        """Digest of the data that it was trained on."""
        return self.content.get("data_digest")

    @property
    def _run(self) -> dict[str, Any]:
        return dict(self.content.get("run") or {})

    def node(self) -> Node:
        """The way that the version came, with the changes of stages on the servers before this one."""
        hops = [dict(hop) for hop in self.content.get("hops", ())]
        return Node(
            kind=Kind.ORIGIN,
            title=f"imported from {_server(hops[-1])}" if hops else "imported",
            state=State.IMPORTED,
            facts=facts(by=self.content.get("imported_by"), at=self.content.get("imported_at")),
            children=tuple(map(_hop, hops)),
        )

    def run_node(self, lock: str | None, data: Node) -> Node:
        """The training run, which is on another server.

        Args:
            lock: Digest of the dependency lock that it ran with, if it is recorded.
            data: What it was trained on.
        """
        run = self._run
        if not run:
            return missing(Kind.ZENML_RUN, "training run", "The import brought no evidence of it.").model_copy(
                update={"children": (data,)}
            )
        dag, dag_run, commit = run.get("dag_id"), run.get("dag_run_id"), self.content.get("commit")
        started = (
            Node(
                kind=Kind.AIRFLOW_RUN,
                title=f"Airflow run {dag} / {dag_run}",
                state=State.IMPORTED,
                facts=facts(dag=dag, run=dag_run, logical_date=run.get("logical_date")),
            )
            if dag and dag_run
            else missing(Kind.AIRFLOW_RUN, "Airflow run", "The import does not say who started the run.")
        )
        code = (
            Node(kind=Kind.CODE, title=f"commit {commit[:12]}", state=State.IMPORTED, facts=facts(commit=commit))
            if commit
            else missing(Kind.CODE, "code", "The import does not say which commit it was trained from.")
        )
        known = {key: value for key, value in run.items() if key not in {"gates", "id"}}
        return Node(
            kind=Kind.ZENML_RUN,
            title=f"training run {run.get('name', '')} on another server",
            state=State.IMPORTED,
            facts=facts(run=run.get("id"), **known),
            children=(started, code, _lock(lock), data),
        )


def origin_of(version: ModelVersionResponse) -> Origin | None:
    """Where a version comes from; ``None`` if nothing says that it was imported."""
    recorded: Any = version.run_metadata.get(ORIGIN_METADATA)
    return Origin(recorded) if isinstance(recorded, dict) else None


def _lock(digest: str | None) -> Node:
    if digest is None:
        return missing(Kind.LOCK, "dependency lock", "The import does not say which one the run had.")
    return Node(
        kind=Kind.LOCK, title=f"dependency lock {digest[:12]}", state=State.IMPORTED, facts=facts(sha256=digest)
    )


def _server(hop: dict[str, Any]) -> str:
    server = dict(hop.get("server") or {})
    return f"{server.get('environment', 'an unnamed server')} ({server.get('url') or server.get('id', 'no id')})"


def _hop(hop: dict[str, Any]) -> Node:
    return Node(
        kind=Kind.ORIGIN,
        title=f"bundle of {_server(hop)} version {hop.get('version')}",
        state=State.IMPORTED,
        facts=facts(
            bundle=hop.get("bundle"),
            signer=hop.get("signer") or "nobody",
            fingerprint=hop.get("fingerprint"),
            version_id=hop.get("version_id"),
        ),
        children=tuple(
            Node(
                kind=Kind.TRANSITION,
                title=f"{link.get('kind')} to {link.get('stage')}: {link.get('state')}, by {link.get('by')}",
                state=State.IMPORTED,
                facts=facts(**link),
            )
            for link in map(dict, hop.get("chain", ()))
        ),
    )
