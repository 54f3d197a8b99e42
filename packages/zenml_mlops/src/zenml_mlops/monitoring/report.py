"""A monitored day and the days before it as self-contained HTML pages, without a row of anybody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any, Final

from zenml_mlops.monitoring.checks import Check, CheckKind
from zenml_mlops.monitoring.findings import DayChecks, Findings
from zenml_mlops.monitoring.performance import SHOWN, Realised
from zenml_mlops.pages import INK, REFERENCE, page, plot, table

_ALERT: Final = "#b03a2e"


def render_day(found: Findings) -> str:
    """The page of one day: alerts, flagged checks, realised performance, all checks."""
    own = found.own
    parts = [
        f"<h1>{found.day}: {_headline(found)}</h1>",
        f"<p>{own.rows} rows, {own.quarantined} refused, {own.high_risk} high risk, scored by version "
        f"{own.version}.</p>",
    ]
    if own.problem:
        parts.append(f"<p><b>Not everything could be checked:</b> {escape(own.problem)}</p>")
    if found.missing:
        days = ", ".join(map(str, found.missing))
        parts.append(f"<p><b>Days without predictions:</b> {days}</p>")
    head = ("check", "since", "", "flagged days", "evidence")
    alerts = [(a.key, a.opened, "new" if a.is_new else "", a.flagged_days, a.evidence) for a in found.alerts]
    parts += ["<h2>Alerts</h2>", table(head, alerts) if alerts else "<p>None is open.</p>"]
    parts += ["<h2>Flagged on this day</h2>", _checks(found.flagged) if found.flagged else "<p>Nothing.</p>"]
    parts += ["<h2>Outcomes</h2>", _performance(own.realised)]
    others = sorted((check for check in own.checks if not check.flagged), key=lambda check: check.key)
    parts.append(f"<details><summary>{len(others)} checks without a finding</summary>{_checks(others)}</details>")
    return page(f"Monitoring of {found.day}", parts)


def render_trend(found: Findings) -> str:
    """The page of the window: rows, flagged checks, risks, outcomes, one plot each."""
    window = found.window
    first = window[0].day
    places = [(each.day - first).days for each in window]
    remarkable = sum(any(check.flagged for check in each.checks) for each in window)
    parts = [
        f"<h1>{first} to {found.day}</h1>",
        f"<p>{len(window)} scored days, {remarkable} of them with a finding.</p>",
        "<h2>Rows</h2>",
        plot(1.8, _line(places, [each.rows for each in window], "rows", window)),
        "<h2>Findings by kind</h2>",
        plot(2.2, _findings(places, window)),
        "<h2>Mean risk, and share of high risk</h2>",
        plot(2.0, _risks(places, window)),
    ]
    if found.realised_by_day:
        parts += ["<h2>Predicted and realised rate of the event</h2>", plot(2.2, _rates(found.realised_by_day))]
    parts += ["<h2>Realised performance by version</h2>", _performance(found.own.realised)]
    if found.realised_by_day:
        parts += ["<h2>By day</h2>", _performance(found.realised_by_day)]
    flagged = [(each.day, check) for each in window for check in each.checks if check.flagged]
    rows = [(day, check.key, check.evidence) for day, check in reversed(flagged)]
    parts += ["<h2>All findings</h2>", table(("day", "check", "evidence"), rows) if rows else "<p>None.</p>"]
    return page(f"Monitoring of {first} to {found.day}", parts)


def _headline(found: Findings) -> str:
    new, open_ones, flagged = len(found.new_alerts), len(found.alerts), len(found.flagged)
    if new:
        return f"{new} new alert{'s' * (new > 1)}"
    if open_ones:
        return f"{open_ones} alert{'s' * (open_ones > 1)} still open"
    return f"{flagged} finding{'s' * (flagged != 1)}, no alert" if flagged else "nothing remarkable"


def _checks(checks: Sequence[Check]) -> str:
    return table(
        ("check", "effect", "limit", "p", "q", "evidence"),
        [
            (
                check.key,
                "" if check.effect is None else f"{check.effect:+.3f}",
                f"{check.limit:g}",
                "" if check.p is None else f"{check.p:.2g}",
                "" if check.q is None else f"{check.q:.2g}",
                check.evidence,
            )
            for check in checks
        ],
    )


def _performance(realised: Sequence[Realised]) -> str:
    if not realised:
        return "<p>No outcomes have arrived yet.</p>"

    def text(part: Realised, name: str) -> str:
        found = part.metrics.get(name)
        return "" if found is None else f"{found.value:.3f} ({found.lower:.3f} to {found.upper:.3f})"

    return table(
        ("days", "version", "rows", "events", "predicted rate", *(name.replace("_", " ") for name in SHOWN)),
        [
            (
                part.first if part.first == part.last else f"{part.first} to {part.last}",
                part.version,
                part.rows,
                part.positives,
                "" if part.mean_risk is None else f"{part.mean_risk:.3f}",
                *(text(part, name) for name in SHOWN),
            )
            for part in realised
        ],
    )


def _line(places: Sequence[int], values: Sequence[float], name: str, window: Sequence[DayChecks]) -> Any:
    def draw(axes: Any) -> None:
        axes.plot(places, values, color=INK, marker="o", markersize=3, linewidth=1)
        bad = [(p, v) for p, v, each in zip(places, values, window, strict=True) if _has(each, CheckKind.VOLUME)]
        axes.plot([p for p, _ in bad], [v for _, v in bad], color=_ALERT, marker="o", linestyle="none")
        axes.set_ylim(bottom=0)
        axes.set_ylabel(name)
        axes.set_xlabel(f"days after {window[0].day}")

    return draw


def _has(each: DayChecks, kind: CheckKind) -> bool:
    return any(check.flagged and check.kind is kind for check in each.checks)


def _findings(places: Sequence[int], window: Sequence[DayChecks]) -> Callable[[Any], None]:
    def draw(axes: Any) -> None:
        for row, kind in enumerate(CheckKind):
            counts = [sum(c.flagged and c.kind is kind for c in each.checks) for each in window]
            shown = [(place, count) for place, count in zip(places, counts, strict=True) if count]
            axes.scatter([p for p, _ in shown], [row] * len(shown), s=[25 * n for _, n in shown], color=_ALERT)
        axes.set_yticks(range(len(CheckKind)), [kind.value for kind in CheckKind])
        axes.set_ylim(-0.6, len(CheckKind) - 0.4)
        axes.set_xlim(min(places) - 0.5, max(places) + 0.5)
        axes.invert_yaxis()
        axes.set_xlabel(f"days after {window[0].day} (size: number of findings)")

    return draw


def _risks(places: Sequence[int], window: Sequence[DayChecks]) -> Callable[[Any], None]:
    def draw(axes: Any) -> None:
        means = [(place, each.mean_risk) for place, each in zip(places, window, strict=True)]
        axes.plot([p for p, m in means if m is not None], [m for _, m in means if m is not None], color=INK)
        scored = [max(each.rows - each.quarantined, 1) for each in window]
        shares = [each.high_risk / rows for each, rows in zip(window, scored, strict=True)]
        axes.plot(places, shares, color=REFERENCE, linestyle="--")
        axes.set_ylim(bottom=0)
        axes.set_xlabel(f"days after {window[0].day} (line: mean risk; dashes: share of high risk)")

    return draw


def _rates(realised: Sequence[Realised]) -> Callable[[Any], None]:
    def draw(axes: Any) -> None:
        first = realised[0].first
        places = [(part.first - first).days for part in realised]
        rates = [part.positives / part.rows for part in realised]
        axes.plot(places, rates, color=INK, marker="o", markersize=3, linestyle="none")
        axes.plot(places, [part.mean_risk for part in realised], color=REFERENCE)
        total = sum(part.rows for part in realised)
        axes.axhline(sum(part.positives for part in realised) / total, color=INK, linestyle=":", linewidth=1)
        axes.set_ylim(bottom=0)
        axes.set_xlabel(f"days after {first} (dots: realised, dotted: their mean, line: predicted)")

    return draw
