"""One change of a model's stages at a time, on however many machines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import TracebackType
from uuid import UUID

from zenml.client import Client
from zenml.exceptions import EntityExistsError
from zenml.models import TagResponse

LEASE = timedelta(minutes=2)
"""From this age on, a lock counts as left behind by a process that died: a change takes seconds."""


class LockedError(RuntimeError):
    """Another change of this model's stages is under way. Nothing was changed by the one that finds it so."""


class StageLock:
    """The right to change the stages of one model.

    It is a ZenML tag, whose name a unique index of ZenML's database lets exist once: whoever creates it has the
    lock, on any machine that uses the same ZenML server or the same local store. ZenML has no fencing token, so a
    holder that hangs for longer than :data:`LEASE` between :meth:`check` and the write that follows could still
    write after another one has taken the lock over; its writes are those of a plan that was written before, and
    the history shows both.
    """

    def __init__(self, model_name: str, model_id: UUID) -> None:
        self._model = model_name
        self._name = f"promotion-lock-{model_id}"
        self._id: UUID | None = None

    def __enter__(self) -> StageLock:
        """Take the lock.

        Raises:
            LockedError: If another one has it, with who and since when.
        """
        held = self._create()
        if held is not None and _age(held) >= LEASE:
            # By id: what another process has taken over meanwhile has another one, and stays.
            _delete(held.id)
            held = self._create()
        if held is not None:
            raise LockedError(self._busy(held))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._id is not None:
            _delete(self._id)
            self._id = None

    def check(self) -> None:
        """Make sure, before a write, that the lock is still held.

        Raises:
            LockedError: If it was taken over, because this process was silent for longer than the lease.
        """
        held = self._find()
        if held is None or held.id != self._id:
            raise LockedError(
                f"The lock on the stages of {self._model!r} was taken over by another process, because this one "
                f"was silent for more than {LEASE.total_seconds():.0f} seconds: see `mlops models history`."
            )

    def _create(self) -> TagResponse | None:
        """Create the tag, or return the one that is there."""
        for _ in range(3):
            try:
                self._id = Client().create_tag(name=self._name).id
            except EntityExistsError:
                held = self._find()
                if held is not None:
                    return held
                continue
            return None
        raise LockedError(f"The stages of {self._model!r} are being changed by several processes; try again.")

    def _find(self) -> TagResponse | None:
        try:
            return Client().get_tag(self._name, allow_name_prefix_match=False)
        except KeyError:
            return None

    def _busy(self, held: TagResponse) -> str:
        user = held.user.name if held.user else "somebody"
        return (
            f"The stages of {self._model!r} are being changed by another process (ZenML user {user!r}, for "
            f"{max(_age(held).total_seconds(), 0):.0f} seconds now), so nothing is changed here. Look at `mlops "
            f"models history` and try again; after {LEASE.total_seconds():.0f} seconds the process counts as dead."
        )


def _age(held: TagResponse) -> timedelta:
    return datetime.now(UTC) - held.created.replace(tzinfo=UTC)


def _delete(tag_id: UUID) -> None:
    try:
        Client().delete_tag(tag_id)
    except KeyError:
        return
