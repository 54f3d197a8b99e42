"""Who promotes: a module of another package, found by its entry point.

The bridge knows no policy and no stage rule. A package that has them names a module under the entry point group
``zenml_airflow.promotion``; the operators of a promotion DAG call its functions in the task's own process.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, Protocol

from zenml_airflow.contracts.extensions import PROMOTION


class PromotionServiceError(RuntimeError):
    """No package promotes here, or more than one would."""


class PromotionService(Protocol):
    """What the module offers. All values are plain data that fits an XCom."""

    def assess(
        self, *, model: str, version: int, stage: str, environment: str, comparison_run: str
    ) -> dict[str, Any]:
        """What is known of a candidate before anybody decides.

        Args:
            comparison_run: ZenML run that compared it with the champion.

        Returns:
            ``champion`` (a number or ``None``), ``verdict``, ``reason``, ``numbers`` (sentences), ``refusals``
            (why it would be refused whatever a person says) and ``asks_approval`` (why a person must be asked,
            empty if no policy demands it).
        """

    def decide(
        self,
        *,
        model: str,
        version: int,
        stage: str,
        approved: bool,
        reason: str,
        actor: str,
        links: Mapping[str, str],
    ) -> None:
        """Record what a person decided; the same decision of the same DAG run once."""

    def promote(
        self,
        *,
        model: str,
        version: int,
        stage: str,
        environment: str,
        reason: str,
        actor: str,
        links: Mapping[str, str],
    ) -> dict[str, Any]:
        """Put the version into the stage.

        Returns:
            ``changed``, ``archived_version`` and ``text``; also where it is refused: ``refused`` says why then,
            and is empty otherwise.
        """


def promotion_service() -> PromotionService:
    """The module that promotes.

    Raises:
        PromotionServiceError: If there is not exactly one.
    """
    found = list(entry_points(group=PROMOTION))
    if len(found) != 1:
        names = sorted(entry.value for entry in found)
        raise PromotionServiceError(
            f"Exactly one package must provide a promotion service, as an entry point of the group "
            f"{PROMOTION!r}; found {names}."
        )
    service: PromotionService = found[0].load()
    return service
