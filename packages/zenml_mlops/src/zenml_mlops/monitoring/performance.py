"""How good the predictions turned out to be, once the outcomes are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import pandas as pd

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.data.contract import Contract
from zenml_mlops.data.landing import IncompletePartitionError
from zenml_mlops.data.outcomes import read_outcomes
from zenml_mlops.gates.limits import Estimate, MetricReport
from zenml_mlops.gates.rules import BootstrapConfig
from zenml_mlops.gates.statistics import LESS_IS_BETTER, evaluate
from zenml_mlops.monitoring.checks import Check, CheckKind
from zenml_mlops.monitoring.config import PerformanceRules
from zenml_mlops.monitoring.day import Baseline, Scored

EITHER_WAY = frozenset({"base_rate", "calibration_intercept"})
"""Metrics that have no better side: what counts is that they moved."""

SHOWN = ("base_rate", "roc_auc", "average_precision", "brier", "expected_calibration_error")


class Realised(Frozen):
    """What became of the cases that a version scored.

    Attributes:
        rows: Scored rows whose outcome is known.
        mean_risk: Mean of their risks, which is the rate that was predicted; ``None`` without rows.
        metrics: By name, with intervals; empty where all rows had one outcome.
    """

    first: date
    last: date
    version: int
    rows: int
    positives: int
    mean_risk: float | None
    metrics: dict[str, Estimate] = {}


class Outcomes:
    """Scored rows with their outcomes, day by day."""

    def __init__(
        self, scored: Scored, root: str, contract: Contract, bootstrap: BootstrapConfig, seed: int
    ) -> None:
        self._contract = contract
        self._scored, self._root, self._bootstrap, self._seed = scored, root, bootstrap, seed
        self._days: dict[date, tuple[pd.DataFrame, str] | None] = {}

    def digest(self, day: date) -> str:
        """What the outcomes of a day are known by; empty while there are none."""
        known = self._known(day)
        return known[1] if known else ""

    def realised(self, days: Sequence[date]) -> list[Realised]:
        """The realised performance over some days, one entry for each version that scored any of them."""
        parts = [known[0] for day in days if (known := self._known(day)) is not None and len(known[0])]
        if not parts:
            return []
        rows = pd.concat(parts, ignore_index=True)
        versions = sorted({int(version) for version in rows["model_version"]})
        return [self._measured(rows.loc[rows["model_version"] == version], version) for version in versions]

    def by_day(self, days: Sequence[date]) -> list[Realised]:
        """The realised performance of each day on its own."""
        return [found for day in days for found in self.realised([day])]

    def _known(self, day: date) -> tuple[pd.DataFrame, str] | None:
        if day not in self._days:
            self._days[day] = self._read(day)
        return self._days[day]

    def _read(self, day: date) -> tuple[pd.DataFrame, str] | None:
        manifest = self._scored.manifest(day)
        found = read_outcomes(self._root, day, self._contract)
        if manifest is None or found is None:
            return None
        outcomes, digest = found
        row, group = self._contract.row_id, self._contract.group_id
        batches = self._scored.predictions(manifest, [row, "risk", "model_version"])
        scored = pd.concat([batch.to_pandas() for batch in batches], ignore_index=True)
        joined = scored.merge(outcomes, on=row, how="inner", validate="one_to_one")
        try:
            frames = [frame[[*self._contract.identifiers]] for frame in self._scored.rows(manifest)]
            groups = pd.concat(frames, ignore_index=True).drop_duplicates(row)
            joined = joined.merge(groups, on=row, how="left", validate="one_to_one")
        except IncompletePartitionError:
            # Without the rows nobody knows which are of one group; each is then taken for a group of its own.
            joined[group] = -joined[row]
        joined["day"] = day
        return joined, digest

    def _measured(self, rows: pd.DataFrame, version: int) -> Realised:
        event = self._contract.events(rows).to_numpy()
        report: MetricReport | None = None
        if event.min() != event.max():
            report = evaluate(
                event,
                rows["risk"].to_numpy(),
                rows[self._contract.group_id].to_numpy(),
                unit=self._contract.group,
                resamples=self._bootstrap.resamples,
                confidence=self._bootstrap.confidence,
                seed=self._seed,
            )
        return Realised(
            first=rows["day"].min(),
            last=rows["day"].max(),
            version=version,
            rows=len(rows),
            positives=int(event.sum()),
            mean_risk=float(rows["risk"].mean()),
            metrics=report.metrics if report else {},
        )


def labelled_days(day: date, window: int, delay: int) -> list[date]:
    """The days whose outcomes the run of a day may look at, the oldest first.

    Later ones may have arrived early, but a run of that day could not have counted on them: a backfill must not
    see more than the daily run.
    """
    last = day - timedelta(days=delay)
    return [last - timedelta(days=back) for back in reversed(range(window))]


def performance_checks(
    realised: Sequence[Realised], baseline: Callable[[int], Baseline | None], rules: PerformanceRules
) -> list[Check]:
    """The realised performance of each version against its evaluation.

    Flagged where the whole bootstrap interval lies beyond the accepted loss: chance is not an explanation then.

    Args:
        realised: One entry a version, over the whole window.
    """
    found = []
    for part in realised:
        known = baseline(part.version)
        if known is None or known.metrics is None or part.positives < rules.minimum_positives:
            continue
        for name, limit in rules.maximum_loss.items():
            before, now = known.metrics.metrics.get(name), part.metrics.get(name)
            if before is None or now is None:
                continue
            loss, least = _loss(name, before.value, now)
            found.append(
                Check(
                    kind=CheckKind.PERFORMANCE,
                    subject=f"{name} of version {part.version}",
                    test="bootstrap interval",
                    effect=loss,
                    limit=limit,
                    flagged=least > limit,
                    evidence=f"{now.value:.3f} ({now.lower:.3f} to {now.upper:.3f}) on {part.rows} rows of "
                    f"{part.first} to {part.last}; {before.value:.3f} when it was evaluated",
                )
            )
    return found


def _loss(name: str, before: float, now: Estimate) -> tuple[float, float]:
    """How much worse it is, and how much at least."""
    if name in EITHER_WAY:
        away = max(now.lower - before, before - now.upper, 0.0)
        return abs(now.value - before), away
    if name in LESS_IS_BETTER:
        return now.value - before, now.lower - before
    return before - now.value, before - now.upper
