"""``mlops doctor``: what stands in the way of a local run, and what to do about it."""

from __future__ import annotations

import typer
from rich.markup import escape
from rich.table import Table

from zenml_mlops.cli.json_output import print_json
from zenml_mlops.cli.options import AsJson, Environment
from zenml_mlops.cli.sentences import entered, print_table

_COLORS = {"ok": "green", "warning": "yellow", "problem": "red"}


def doctor(as_json: AsJson = False, environment: Environment = "local") -> None:
    """Check versions, disk, clock, ports, connections, deployed pipelines, stores and the audit log.

    Nothing is changed. Exits with 1 if there is a problem; warnings leave it at 0.

    For example: `mlops doctor`, or `mlops doctor --json`
    """
    with entered(environment) as settings:
        from zenml_mlops.status.doctor import Level, examine

        findings = examine(settings)
        if as_json:
            content = [finding.model_dump(mode="json") for finding in findings]
            print_json({"schema_version": 1, "findings": content})
        else:
            table = Table("check", "state", "found", "what to do")
            for finding in findings:
                color = _COLORS[finding.level.value]
                state = f"[{color}]{finding.level.value}[/{color}]"
                table.add_row(finding.check, state, escape(finding.found), escape(finding.fix or ""))
            print_table(table)
        if any(finding.level is Level.PROBLEM for finding in findings):
            raise typer.Exit(1)
