"""The checks of one day: what each measured, and whether it is remarkable.

A check is flagged only if the difference is both certain (a test, with the false discovery rate controlled over
all tests of its kind) and large (a smallest effect): with a hundred rows chance makes large differences, and with
a million rows any difference is certain.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from scipy import stats

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.data.profile import FeatureProfile, Kind, Profile, mean_risk
from zenml_mlops.gates.statistics import homogeneity, kolmogorov_smirnov
from zenml_mlops.monitoring.config import MonitoringRules


class CheckKind(StrEnum):
    """What a check is about; each kind has its rules and its persistence."""

    DRIFT = "drift"
    PREDICTIONS = "predictions"
    QUALITY = "quality"
    VOLUME = "volume"
    PERFORMANCE = "performance"


class Check(Frozen):
    """One check of one day.

    Attributes:
        subject: The input or the measure.
        effect: Size of the difference in the unit that the limit has; ``None`` where nothing could be measured.
        limit: Size from which it is flagged.
        p: Probability of such a difference by chance; ``None`` where no test is made.
        q: The same, adjusted for all tests of the kind on this day (Benjamini and Hochberg 1995).
    """

    kind: CheckKind
    subject: str
    test: str
    effect: float | None
    limit: float
    p: float | None = None
    q: float | None = None
    flagged: bool
    evidence: str

    @property
    def key(self) -> str:
        """What the same check is called on another day."""
        return f"{self.kind.value}:{self.subject}"


def drift_checks(reference: Profile, day: Profile, rules: MonitoringRules) -> list[Check]:
    """Each input of the day against the version's profile; rows without a value are left to the quality checks.

    Numbers by the two-sample Kolmogorov-Smirnov test, whose effect is the largest distance of the cumulative
    distributions (it errs on the side of no alarm where values repeat); categories by the chi-square test of
    homogeneity, whose effect is the total variation distance: the share of rows that would need another value.
    """
    found: list[tuple[str, str, float, float, str]] = []
    for name, before in reference.features.items():
        now = day.features[name]
        if not before.present or not now.present:
            continue
        if before.kind is Kind.NUMERIC:
            found.append((name, "Kolmogorov-Smirnov", *_kolmogorov_smirnov(before, now)))
        else:
            found.append((name, "chi-square", *_chi_square(before, now)))
    return _judged(CheckKind.DRIFT, found, rules.drift.minimum_effect, rules.drift.false_discovery_rate)


def prediction_check(reference: Profile, day: Profile, rules: MonitoringRules) -> list[Check]:
    """The day's risks against those of the rows that the version was evaluated on."""
    before, now = np.asarray(reference.risks, dtype=float), np.asarray(day.risks, dtype=float)
    if not before.sum() or not now.sum():
        return []
    effect, p = kolmogorov_smirnov(before, now)
    means = f"mean risk {mean_risk(day.risks):.3f}, was {mean_risk(reference.risks):.3f}"
    text = f"{means}; largest distance of the distributions {effect:.2f}"
    limits, found = rules.predictions, [("risk", "Kolmogorov-Smirnov", effect, p, text)]
    return _judged(CheckKind.PREDICTIONS, found, limits.minimum_effect, limits.false_discovery_rate)


def quality_checks(
    reference: Profile, day: Profile, refused: tuple[int, int], rules: MonitoringRules
) -> list[Check]:
    """Values that are missing or were never seen more often than before, and rows that were refused.

    How often a value occurs that the profile does not hold is estimated from the values that it holds once
    (Good 1953).

    Args:
        refused: Rows of the day that were refused, and all rows.
    """
    found = []
    for name, before in reference.features.items():
        now = day.features[name]
        if not now.rows or not before.rows:
            continue
        share, p = _rise(now.missing, now.rows, (before.missing + 1) / (before.rows + 2))
        was = before.missing / before.rows
        text = f"{now.missing / now.rows:.1%} of {now.rows} rows have no {name}, was {was:.1%}"
        found.append((f"missing {name}", "binomial", share - was, p, text))
        if before.kind is Kind.CATEGORICAL and now.present and before.present:
            new = {value: n for value, n in now.counts.items() if value not in before.counts}
            singles = sum(n == 1 for n in before.counts.values())
            share, p = _rise(sum(new.values()), now.present, (singles + 1) / (before.present + 2))
            shown = ", ".join(sorted(new, key=lambda value: -new[value])[:3])
            text = f"{share:.1%} of {now.present} rows have a {name} that the profile does not hold"
            found.append((f"unseen {name}", "binomial", share, p, f"{text}: {shown}" if new else text))
    limits = rules.quality
    checks = _judged(CheckKind.QUALITY, found, limits.minimum_rise, limits.false_discovery_rate)
    quarantined, rows = refused
    share = quarantined / rows if rows else 0.0
    checks.append(
        Check(
            kind=CheckKind.QUALITY,
            subject="quarantine",
            test="limit",
            effect=share,
            limit=limits.maximum_quarantined,
            flagged=share > limits.maximum_quarantined,
            evidence=f"{quarantined} of {rows} rows were refused ({share:.1%})",
        )
    )
    return checks


def volume_check(rows: int, history: Sequence[int], rules: MonitoringRules) -> list[Check]:
    """The day's number of rows against the days before it.

    Poisson, with the variance scaled by what the days before show over it (quasi-Poisson): deliveries come in
    clusters.

    Args:
        history: Rows of each earlier day, in any order.
    """
    limits = rules.volume
    if len(history) < limits.minimum_history:
        return []
    typical = float(np.median(history))
    # Robust: a day of no rows among the others must not hide the next one.
    deviation = 1.4826 * float(np.median(np.abs(np.asarray(history) - typical)))
    scale = max(float(np.sqrt(max(typical, 1.0))), deviation)
    p = float(2 * stats.norm.sf(abs(rows - typical) / scale))
    change = rows / typical - 1 if typical else float(rows > 0)
    return [
        Check(
            kind=CheckKind.VOLUME,
            subject="rows",
            test="quasi-Poisson",
            effect=change,
            limit=limits.minimum_change,
            p=p,
            flagged=abs(change) >= limits.minimum_change and p <= limits.p_value,
            evidence=f"{rows} rows; the median of {len(history)} days before is {typical:g}",
        )
    ]


def _judged(
    kind: CheckKind, found: Sequence[tuple[str, str, float, float, str]], limit: float, rate: float
) -> list[Check]:
    if not found:
        return []
    adjusted = stats.false_discovery_control([p for *_, p, _ in found], method="bh")
    return [
        Check(
            kind=kind,
            subject=subject,
            test=test,
            effect=effect,
            limit=limit,
            p=p,
            q=float(q),
            flagged=bool(q <= rate and effect >= limit),
            evidence=text,
        )
        for (subject, test, effect, p, text), q in zip(found, adjusted, strict=True)
    ]


def _rise(hits: int, rows: int, before: float) -> tuple[float, float]:
    return hits / rows, float(stats.binomtest(hits, rows, before, alternative="greater").pvalue)


def _kolmogorov_smirnov(before: FeatureProfile, now: FeatureProfile) -> tuple[float, float, str]:
    values = sorted(before.counts.keys() | now.counts.keys(), key=float)
    numbers = np.array([float(value) for value in values])
    parts = [np.array([part.counts.get(value, 0) for value in values], dtype=float) for part in (before, now)]
    distance, p = kolmogorov_smirnov(*parts)
    means = [float(part @ numbers / part.sum()) for part in parts]
    return distance, p, f"mean {means[1]:.2f}, was {means[0]:.2f}; largest distance {distance:.2f}"


def _chi_square(before: FeatureProfile, now: FeatureProfile) -> tuple[float, float, str]:
    values = sorted(before.counts.keys() | now.counts.keys())
    table = np.array([[part.counts.get(value, 0) for value in values] for part in (before, now)], dtype=float)
    shares = table / table.sum(axis=1, keepdims=True)
    distance = float(np.abs(shares[0] - shares[1]).sum() / 2)
    most = int(np.argmax(np.abs(shares[1] - shares[0])))
    text = f"{values[most]} in {shares[1, most]:.1%} of rows, was {shares[0, most]:.1%}"
    return distance, homogeneity(table), text
