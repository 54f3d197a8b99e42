"""Verdicts as SARIF 2.1.0, which code hosts show beside the lines of a change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from zenml_mlops.policy.engine import Assessment, Verdict
from zenml_mlops.policy.schema import Policy, Severity

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_SCORES = {Severity.LOW: "3.0", Severity.MEDIUM: "5.0", Severity.HIGH: "8.0", Severity.CRITICAL: "9.5"}
"""The CVSS-like numbers by which readers of SARIF sort ``security-severity``."""


def to_sarif(assessment: Assessment, policies: Sequence[Policy], problems: Sequence[str] = ()) -> str:
    """Render verdicts as a SARIF log: one result for each violation, and a notification for each problem."""
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "mlops policy",
                "rules": [
                    {
                        "id": policy.id,
                        "shortDescription": {"text": policy.title},
                        "fullDescription": {"text": policy.rationale},
                        "help": {"text": policy.remedy},
                        "properties": {"security-severity": _SCORES[policy.severity]},
                    }
                    for policy in policies
                ],
            }
        },
        "invocations": [
            {
                "executionSuccessful": not problems,
                "toolExecutionNotifications": [
                    {"level": "error", "message": {"text": problem}} for problem in problems
                ],
            }
        ],
        "results": [_result(verdict) for verdict in assessment.verdicts if not verdict.passed],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _result(verdict: Verdict) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": verdict.policy,
        "level": "error" if verdict.blocks else "warning",
        "message": {"text": f"{verdict.subject}: {verdict.message}. {verdict.remedy}"},
        "locations": [{"logicalLocations": [{"fullyQualifiedName": verdict.subject}]}],
    }
    if verdict.waiver is not None:
        waiver = verdict.waiver
        result["suppressions"] = [
            {"kind": "external", "justification": f"{waiver.who} until {waiver.until}: {waiver.why}"}
        ]
    return result
