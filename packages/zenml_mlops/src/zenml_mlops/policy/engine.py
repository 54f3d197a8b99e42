"""Judge subjects by policies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.policy.facts import SUBJECTS, Subject, subject_name
from zenml_mlops.policy.rules.catalog import rules
from zenml_mlops.policy.schema import Mode, Policy, Severity, load_policies
from zenml_mlops.policy.waivers import Waiver, load_waivers


class PolicyViolationError(RuntimeError):
    """Policies that are enforced refuse something. The message lists every violation."""

    def __init__(self, assessment: Assessment, what: str) -> None:
        super().__init__(f"{what} is refused by {len(assessment.blocking)} policies:\n{assessment.explain()}")
        self.assessment = assessment


class Verdict(Frozen):
    """What one policy says of one subject.

    Attributes:
        subject: What was judged, such as ``pipeline:training``.
        mode: What a violation does in this environment.
        violations: What breaks the policy, a sentence each; empty if nothing does.
        waiver: The waiver that accepts the violation, if one does.
        expired: The day on which a waiver ended that would have accepted it.
    """

    policy: str
    subject: str
    mode: Mode
    severity: Severity
    violations: tuple[str, ...] = ()
    remedy: str
    waiver: Waiver | None = None
    expired: date | None = None

    @property
    def passed(self) -> bool:
        """Whether nothing breaks the policy."""
        return not self.violations

    @property
    def blocks(self) -> bool:
        """Whether it stops what was to happen."""
        return not self.passed and self.mode is Mode.ENFORCE and self.waiver is None

    @property
    def message(self) -> str:
        """The verdict in one line."""
        if self.passed:
            return "kept"
        text = "; ".join(self.violations)
        if self.waiver is not None:
            return f"{text} (waived by {self.waiver.who} until {self.waiver.until}: {self.waiver.why})"
        ended = f" (its waiver ended on {self.expired})" if self.expired else ""
        return f"{text}{ended}"

    def record(self) -> dict[str, Any]:
        """The verdict as plain data, for the audit log and for metadata."""
        waiver = {} if self.waiver is None else {"waiver": self.waiver.model_dump(mode="json")}
        return {
            **waiver,
            "policy": self.policy,
            "subject": self.subject,
            "mode": self.mode.value,
            "passed": self.passed,
            "blocks": self.blocks,
            "message": self.message,
        }


class Assessment(Frozen):
    """All verdicts on some subjects in one environment."""

    environment: str
    verdicts: tuple[Verdict, ...]

    @property
    def blocking(self) -> tuple[Verdict, ...]:
        """The verdicts that stop what was to happen."""
        return tuple(verdict for verdict in self.verdicts if verdict.blocks)

    @property
    def warnings(self) -> tuple[Verdict, ...]:
        """Violations that stop nothing: of policies in dry run, and waived ones."""
        return tuple(verdict for verdict in self.verdicts if not verdict.passed and not verdict.blocks)

    @property
    def unwaived(self) -> tuple[Verdict, ...]:
        """All violations, of policies in dry run too, that no waiver accepts."""
        return tuple(verdict for verdict in self.verdicts if not verdict.passed and verdict.waiver is None)

    def explain(self) -> str:
        """Every blocking violation with the way out, a line each."""
        return "\n".join(
            f"- {verdict.policy} ({verdict.subject}): {verdict.message}. {verdict.remedy}"
            for verdict in self.blocking
        )

    def enforce(self, what: str) -> Assessment:
        """Return itself if nothing blocks.

        Args:
            what: What was to happen, as a sentence begins, such as ``Deploying training to production``.

        Raises:
            PolicyViolationError: If a policy blocks it.
        """
        if self.blocking:
            raise PolicyViolationError(self, what)
        return self


def judge(
    subjects: Iterable[Subject],
    environment: str,
    *,
    policies: Sequence[Policy] | None = None,
    waivers: Sequence[Waiver] | None = None,
    today: date | None = None,
) -> Assessment:
    """Judge subjects by every policy of their scope that is not off.

    Args:
        environment: The environment; one that a policy does not name enforces it.
        policies: The policies; the platform's own by default.
        waivers: The waivers; those of ``governance/waivers.yaml`` by default.
        today: The day on which waivers must still hold; today in UTC by default.

    Raises:
        PolicyFileError: If the platform's policies or waivers are wrong.
    """
    chosen = load_policies() if policies is None else policies
    granted = load_waivers(chosen) if waivers is None else waivers
    day = today or datetime.now(UTC).date()
    verdicts = []
    for facts in subjects:
        for policy in chosen:
            if isinstance(facts, SUBJECTS[policy.scope]) and policy.mode_in(environment) is not Mode.OFF:
                verdicts.append(_verdict(policy, facts, environment, granted, day))
    return Assessment(environment=environment, verdicts=tuple(verdicts))


def _verdict(policy: Policy, facts: Subject, environment: str, waivers: Sequence[Waiver], today: date) -> Verdict:
    subject = subject_name(facts)
    violations = tuple(rules()[policy.rule].check(facts, policy.parameters_in(environment)))
    covering = [w for w in waivers if w.covers(policy.id, subject, environment)] if violations else []
    holding = [waiver for waiver in covering if waiver.until >= today]
    return Verdict(
        policy=policy.id,
        subject=subject,
        mode=policy.mode_in(environment),
        severity=policy.severity,
        violations=violations,
        remedy=policy.remedy,
        waiver=holding[0] if holding else None,
        expired=max((waiver.until for waiver in covering), default=None) if not holding else None,
    )
