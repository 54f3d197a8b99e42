"""Follows the stage: loads the version that was promoted, and lets it answer in place of the old one."""

from __future__ import annotations

import gc
import threading
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID

from zenml_mlops.inference.champion import EmptyStageError
from zenml_mlops.serving.loaded_version import LoadedVersion
from zenml_mlops.serving.metrics import Metrics
from zenml_mlops.serving.records import EventLog

_MOST_DOUBLINGS: Final = 6


class VersionSource(Protocol):
    """Where versions come from."""

    def champion_id(self) -> UUID:
        """Id of the version in the stage.

        Raises:
            EmptyStageError: If there is none.
        """

    def load(self) -> LoadedVersion:
        """Load the version in the stage and make it ready."""


@dataclass(frozen=True)
class SwitchState:
    """Who answers, and what is wrong; of one moment.

    Attributes:
        problem: Why that is not the version in the stage, or why nobody answers; None if all is well.
    """

    champion: LoadedVersion | None = None
    problem: str | None = None


class ModelSwitch:
    """Holds the version that answers, and exchanges it in one assignment.

    A request takes :attr:`champion` once and keeps it to its end, so that no request sees two versions and none
    has to wait for a switch. Loading happens in a thread of its own. While the version in the stage cannot be
    found or loaded, the old one goes on, and :attr:`state` says so. An empty stage means that nobody may score,
    as for batch inference: then nothing answers. A promotion does not empty it: ZenML exchanges the versions in
    one transaction.

    Attributes:
        state: Who answers, and what is wrong. To see both of one moment, take it once.
    """

    def __init__(self, source: VersionSource, poll_seconds: float, metrics: Metrics, log: EventLog) -> None:
        self._source, self._poll_seconds = source, poll_seconds
        self._metrics, self._log = metrics, log
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed_checks = 0
        self.state = SwitchState()

    @property
    def champion(self) -> LoadedVersion | None:
        """The version that answers, if one does."""
        return self.state.champion

    def load_first(self) -> LoadedVersion:
        """Load the version that the service begins with.

        Raises:
            NoChampionError: If there is none.
        """
        champion = self._source.load()
        self._exchange(champion)
        self._metrics.checked.set_to_current_time()
        return champion

    def start(self) -> None:
        """Begin to follow the stage."""
        self._thread = threading.Thread(target=self._follow, name="model-switch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop; a version that is being loaded is not waited for."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=1)

    def check(self) -> None:
        """Check once which version is in the stage, and switch to it. Never raises: see :attr:`state`."""
        try:
            wanted = self._source.champion_id()
        except EmptyStageError as error:
            self._empty(str(error))
            return
        except Exception as error:  # noqa: BLE001 - whatever the store's client raises, the old version goes on
            self._failed("The version in the stage could not be determined", error)
            return
        self._metrics.checked.set_to_current_time()
        if self.champion is not None and self.champion.version.version_id == wanted:
            self._well(self.champion)
            return
        try:
            champion = self._source.load()
        except EmptyStageError as error:
            self._empty(str(error))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the new version, the old one goes on
            self._metrics.switches.labels("failure").inc()
            self._failed("The version in the stage could not be loaded", error)
        else:
            self._exchange(champion)

    def _follow(self) -> None:
        while not self._ended.wait(self._poll_seconds * 2 ** min(self._failed_checks, _MOST_DOUBLINGS)):
            self.check()

    def _exchange(self, champion: LoadedVersion) -> None:
        before = None if self.champion is None else self.champion.version
        self._metrics.answering(champion)
        self._metrics.switches.labels("success").inc()
        self._log.serving(champion.version, before)
        self._well(champion)
        _spare_collector()

    def _empty(self, text: str) -> None:
        self._metrics.checked.set_to_current_time()
        self._failed_checks = 0
        answered = self.champion is not None
        if answered:
            self._log.warning("stage_empty", text)
            self._metrics.answering(None)
        self._set_state(SwitchState(problem=text))
        if answered:
            _spare_collector()

    def _failed(self, what: str, error: Exception) -> None:
        """Take note of a failure. The whole message goes to the log only: it may name hosts and paths."""
        self._failed_checks += 1
        goes_on = "" if self.champion is None else f"; still serving version {self.champion.version.version}"
        problem = f"{what} ({type(error).__name__}){goes_on}. See the log for details."
        self._log.warning("switch_failed", f"{problem} {error}")
        self._set_state(SwitchState(self.champion, problem))

    def _well(self, champion: LoadedVersion) -> None:
        self._failed_checks = 0
        self._set_state(SwitchState(champion))

    def _set_state(self, state: SwitchState) -> None:
        """Say it; the gauge first, so that who reads of a problem finds it counted."""
        self._metrics.problem.set(state.problem is not None)
        self.state = state


def _spare_collector() -> None:
    """Take what is loaded now out of Python's garbage collection.

    Libraries and model are some 250,000 objects that stay. The collector takes 0.2 s to check through them, in
    which nobody is answered, every few seconds under load. Here it is done once a version, and what the version
    before has left is given back.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
