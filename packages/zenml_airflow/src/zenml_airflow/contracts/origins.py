"""Where an imported version comes from: the evidence of the server that trained it, as its signed bundle said.

A version that was trained here has a run here. An imported one has none: what its run was, which gates passed
and who approved stands in its metadata, written in one piece when its bundle had been verified and all of it
was stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from pydantic import AwareDatetime, Field

from zenml_airflow.contracts.frozen import Deferred

ORIGIN_METADATA: Final = "imported"
"""Key of the metadata of an imported version; a version whose import was interrupted lacks it."""

SERVER_LINK: Final = "source_server"
"""Link of an approval or a decision that was made on another server, and came with a bundle."""


class Server(Deferred):
    """A ZenML server, or a local store.

    Attributes:
        id: Its own id, which no other server has.
        url: Address at which people open it; ``None`` for a local store.
        environment: Environment that the version was exported from.
    """

    id: UUID
    url: str | None = None
    environment: str

    def __str__(self) -> str:
        return f"{self.environment} ({self.url or f'store {str(self.id)[:8]}'})"


class SourceRun(Deferred):
    """The run that trained a version, as the server that ran it recorded it.

    Attributes:
        gates: Result by gate; empty if it recorded none.
    """

    id: UUID
    name: str
    pipeline: str | None = None
    status: str
    environment: str | None = None
    gates: dict[str, bool] = {}
    dag_id: str | None = None
    dag_run_id: str | None = None
    logical_date: str | None = None


class ChainLink(Deferred):
    """A change of stages that a version went through on another server."""

    number: int
    kind: str
    stage: str
    came_from: str | None = None
    state: str
    by: str
    at: AwareDatetime
    environment: str
    reason: str = ""
    approved_by: str | None = None


class Hop(Deferred):
    """One way of a version from a server to another.

    Attributes:
        version: Number that it had there.
        chain: The changes of stages that it went through there, oldest first.
        bundle: sha256 of the bundle's manifest.
        signer: Who signed the bundle, as the list of allowed signers names them; ``None`` if nobody did.
    """

    server: Server
    version: int = Field(ge=1)
    version_id: UUID
    chain: tuple[ChainLink, ...] = ()
    bundle: str = Field(pattern=r"^[0-9a-f]{64}$")
    signer: str | None = None
    fingerprint: str | None = None


class Origin(Deferred):
    """Where an imported version comes from.

    Attributes:
        hops: The servers that it came through, the one that trained it first.
        data_digest: sha256 of the data that it was trained on.
        files: sha256 of each file of the bundle, by path.
    """

    hops: tuple[Hop, ...] = Field(min_length=1)
    run: SourceRun
    commit: str | None = None
    data_digest: str | None = None
    files: dict[str, str]
    imported_by: str
    imported_at: AwareDatetime

    @property
    def last(self) -> Hop:
        """The way on which it came here."""
        return self.hops[-1]

    @property
    def signer(self) -> str | None:
        """Who vouches for it: the signer of the bundle that it came in."""
        return self.last.signer

    @property
    def links(self) -> dict[str, str]:
        """Ids that lead from a record of this server to those of the one that trained it."""
        named = {
            SERVER_LINK: str(self.hops[0].server),
            "source_version": str(self.hops[0].version),
            "source_run": str(self.run.id),
            "bundle": self.last.bundle,
            "signer": self.signer,
        }
        return {name: value for name, value in named.items() if value is not None}

    def __str__(self) -> str:
        signed = f"signed by {self.signer}" if self.signer else "unsigned"
        return f"{self.last.server} version {self.last.version}, {signed}"


def origin_of(metadata: Mapping[str, Any]) -> Origin | None:
    """Where a version comes from; ``None`` if it was trained here, or its import was not finished."""
    recorded = metadata.get(ORIGIN_METADATA)
    return None if recorded is None else Origin.model_validate(recorded)
