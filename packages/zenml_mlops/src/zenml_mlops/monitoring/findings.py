"""What monitoring says of a day: the checks of that day, and the alerts that they and the days before make."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, timedelta
from typing import Final

from pydantic import AwareDatetime, ConfigDict, ValidationError

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.data.partitions import PartitionError, PartitionManifest, PartitionStore, StoredFile
from zenml_mlops.data.profile import mean_risk
from zenml_mlops.monitoring.alerts import Alert, open_alerts
from zenml_mlops.monitoring.checks import Check, drift_checks, prediction_check, quality_checks, volume_check
from zenml_mlops.monitoring.config import MonitoringRules
from zenml_mlops.monitoring.day import Baseline, Scored
from zenml_mlops.monitoring.performance import Outcomes, Realised, labelled_days, performance_checks

FINDINGS_FILE: Final = "findings.json"
DAY_PAGE: Final = "day.html"
TREND_PAGE: Final = "trend.html"

_FORMAT: Final = 1
"""One more whenever the same data would give other checks: stored ones are not used then."""


class DayChecks(Frozen):
    """The checks of one day.

    Attributes:
        inputs: Digest of everything that they are made of; the same digest, the same checks.
        run_id: ZenML run that published the predictions.
        high_risk: Rows at or above the threshold.
        mean_risk: Mean of the risks; ``None`` without any.
        problem: Why some checks could not be made.
        realised: The performance over the labelled days that the day looks back on, by version.
    """

    day: date
    inputs: str
    run_id: str
    version: int
    rows: int
    quarantined: int
    high_risk: int
    mean_risk: float | None
    problem: str = ""
    checks: tuple[Check, ...]
    realised: tuple[Realised, ...]


class Findings(Frozen):
    """What monitoring says of a day.

    Attributes:
        alerts: The alerts that are open on it.
        window: The days that were scored in the window, in order, each with its flagged checks; the last is the
            day itself.
        missing: Days of the window, after the first scored one, that have no partition.
        realised_by_day: The performance of each labelled day on its own.
    """

    day: date
    own: DayChecks
    alerts: tuple[Alert, ...]
    window: tuple[DayChecks, ...]
    missing: tuple[date, ...]
    realised_by_day: tuple[Realised, ...]

    @property
    def flagged(self) -> list[Check]:
        """The checks of the day that are remarkable."""
        return [check for check in self.own.checks if check.flagged]

    @property
    def new_alerts(self) -> list[Alert]:
        """The alerts that opened on the day."""
        return [alert for alert in self.alerts if alert.is_new]


class MonitoringManifest(PartitionManifest):
    """What was found of a day, and where it lies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    predictions_run_id: str
    model_version: int
    flagged: tuple[str, ...]
    alerts: tuple[str, ...]
    new_alerts: tuple[str, ...]
    environment: str
    dag_id: str
    dag_run_id: str
    published_at: AwareDatetime


class Watch:
    """Looks at scored days; what was found of a day before is used again where nothing has changed."""

    def __init__(self, rules: MonitoringRules, scored: Scored, outcomes: Outcomes, store: PartitionStore) -> None:
        self._rules, self._scored, self._outcomes, self._store = rules, scored, outcomes, store
        self._made: dict[date, DayChecks] = {}

    def findings(self, day: date) -> Findings:
        """Everything that monitoring says of a day.

        Raises:
            PartitionError: If the day has no predictions, or they are damaged.
            OutcomesError: If outcomes that have arrived are damaged.
        """
        if self._scored.manifest(day) is None:
            raise PartitionError(
                f"{day} has no predictions, so there is nothing to evaluate: run batch_inference for that day."
            )
        window = self._days_before(day + timedelta(days=1))
        checks = [self._checks(each) for each in window if self._scored.manifest(each) is not None]
        found = {each.day: each.checks for each in checks}
        labelled = labelled_days(day, self._rules.window_days, self._rules.performance.label_delay_days)
        return Findings(
            day=day,
            own=checks[-1],
            alerts=tuple(open_alerts(found, self._rules.persistence)),
            window=tuple(
                each.model_copy(update={"checks": tuple(check for check in each.checks if check.flagged)})
                for each in checks
            ),
            missing=tuple(each for each in window if each > checks[0].day and each not in found),
            realised_by_day=tuple(self._outcomes.by_day(labelled)),
        )

    def _checks(self, day: date) -> DayChecks:
        if day not in self._made:
            inputs = self._inputs(day)
            self._made[day] = self._stored(day, inputs) or self._evaluate(day, inputs)
        return self._made[day]

    def _days_before(self, day: date) -> list[date]:
        return [day - timedelta(days=back) for back in reversed(range(1, self._rules.window_days + 1))]

    def _inputs(self, day: date) -> str:
        """Digest of what the checks of a day are made of."""
        labelled = labelled_days(day, self._rules.window_days, self._rules.performance.label_delay_days)
        # A landing file that was exchanged after it was scored has other rows; the day says so, and is not reused.
        manifests = [self._scored.manifest(each) for each in (day, *self._days_before(day), *labelled)]
        content = {
            "format": _FORMAT,
            "rules": self._rules.model_dump(mode="json"),
            "runs": [found and found.zenml_run_id for found in manifests],
            "outcomes": [self._outcomes.digest(each) for each in labelled],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def _stored(self, day: date, inputs: str) -> DayChecks | None:
        with suppress(PartitionError, FileNotFoundError, ValidationError):
            stored = read_findings(self._store, day).own
            if stored.inputs == inputs and not stored.problem:
                return stored
        return None

    def _evaluate(self, day: date, inputs: str) -> DayChecks:
        rules = self._rules
        observed = self._scored.observe(day)
        baseline = self._scored.baselines.of(observed)
        problem = observed.problem or baseline.problem
        before = [self._scored.manifest(each) for each in self._days_before(day)]
        checks = volume_check(observed.rows, [found.rows_in for found in before if found is not None], rules)
        if observed.profile is not None and baseline.profile is not None:
            checks += drift_checks(baseline.profile, observed.profile, rules)
            checks += prediction_check(baseline.profile, observed.profile, rules)
            checks += quality_checks(
                baseline.profile, observed.profile, (observed.quarantined, observed.rows), rules
            )
        labelled = labelled_days(day, rules.window_days, rules.performance.label_delay_days)
        realised = self._outcomes.realised(labelled)
        known = self._baselines(labelled)
        checks += performance_checks(realised, known.get, rules.performance)
        return DayChecks(
            day=day,
            inputs=inputs,
            run_id=observed.run_id,
            version=observed.model_version,
            rows=observed.rows,
            quarantined=observed.quarantined,
            high_risk=observed.high_risk,
            mean_risk=mean_risk(observed.profile.risks) if observed.profile else None,
            problem=problem,
            checks=tuple(checks),
            realised=tuple(realised),
        )

    def _baselines(self, days: Sequence[date]) -> dict[int, Baseline]:
        found = {}
        for day in days:
            manifest = self._scored.manifest(day)
            if manifest is not None and manifest.model_version not in found:
                found[manifest.model_version] = self._scored.baselines.of_manifest(manifest)
        return found


def read_findings(store: PartitionStore, day: date) -> Findings:
    """What was found of a day, as it was published last.

    Raises:
        PartitionError: If the day was not evaluated, or the file does not match its manifest.
    """
    file = _file(store, day, FINDINGS_FILE)
    store.check(file)
    return Findings.model_validate_json(store.fs.cat_file(store.absolute(file.path)))


def page_path(store: PartitionStore, day: date, page: str) -> str:
    """Where a page of a day lies.

    Raises:
        PartitionError: If the day was not evaluated.
    """
    return store.absolute(_file(store, day, page).path)


def _file(store: PartitionStore, day: date, name: str) -> StoredFile:
    try:
        manifest = PartitionManifest.model_validate(store.manifest(day))
    except PartitionError:
        raise PartitionError(f"{day} was not evaluated: run `mlops run monitoring --date {day}`.") from None
    return next(file for file in manifest.files if file.path.endswith(f"/{name}"))
