"""``mlops policy``: what is allowed, why, and what breaks it."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import Annotated

import typer
from rich.table import Table

from zenml_mlops.cli.json_output import print_json
from zenml_mlops.cli.options import AsJson, Environment, group
from zenml_mlops.cli.sentences import console, print_table, sentences

policy_app = group("The platform's policies: list them, explain one, check an environment against them.")


@policy_app.command("list")
def list_policies(as_json: AsJson = False, environment: Environment = "local") -> None:
    """List the policies and what a violation does in an environment.

    For example: `mlops policy list --env production`
    """
    from zenml_mlops.policy.schema import load_policies

    with sentences():
        if as_json:
            rows = [
                {
                    "policy": policy.id,
                    "judges": policy.scope,
                    "mode": policy.mode_in(environment),
                    "severity": policy.severity,
                    "title": policy.title,
                }
                for policy in load_policies()
            ]
            print_json(rows)
            return
        table = Table("policy", "judges", f"in {environment}", "severity", "title")
        for policy in load_policies():
            table.add_row(policy.id, policy.scope, policy.mode_in(environment), policy.severity, policy.title)
        print_table(table)


@policy_app.command()
def explain(policy: Annotated[str, typer.Argument(help="Id of the policy, such as clean-commit.")]) -> None:
    """Say what a policy demands, why, and what to do about a violation.

    For example: `mlops policy explain clean-commit`
    """
    import yaml

    from zenml_mlops.policy.schema import load_policies

    with sentences():
        found = {known.id: known for known in load_policies()}
        if policy not in found:
            raise ValueError(f"No policy {policy!r}. Known: {sorted(found)}.")
        one = found[policy]
        modes = ", ".join(f"{name}: {mode}" for name, mode in one.mode.items())
        sys.stdout.write(
            f"{one.id} ({one.severity})\n{one.title}.\n\nWhy: {one.rationale}\nRemedy: {one.remedy}\n"
            f"Judges: {one.scope}, by the rule {one.rule}\nModes: {modes}, elsewhere: enforce\n"
        )
        if one.parameters or one.per_environment:
            text = yaml.safe_dump({"parameters": one.parameters, **one.per_environment}, sort_keys=False)
            sys.stdout.write(text)


@policy_app.command()
def schema() -> None:
    """Print the JSON Schema of a policy file; editors read it from governance/policies/schema.json.

    For example: `mlops policy schema > governance/policies/schema.json`
    """
    from zenml_mlops.policy.schema import json_schema

    sys.stdout.write(json_schema())


@policy_app.command()
def check(
    environment: Environment = "local",
    strict: Annotated[bool, typer.Option("--strict", help="Fail on every violation, of a dry run too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdicts as JSON.")] = False,
    sarif: Annotated[bool, typer.Option("--sarif", help="Print the violations as SARIF 2.1.0.")] = False,
) -> None:
    """Judge every pipeline, the stack and every DAG file of an environment; exit with 1 if anything blocks.

    This is what CI runs. Nothing is deployed; the stack file is applied, as `mlops deploy` does. DAG files are
    parsed with the manifests that are there.

    For example: `mlops policy check --env local --strict`, or `mlops policy check --sarif > policy.sarif`
    """
    from zenml_mlops.environment.process import enter

    with sentences():
        if as_json and sarif:
            raise ValueError("--json and --sarif are two forms of one output: choose one.")
        from zenml_mlops.policy.sarif import to_sarif
        from zenml_mlops.policy.schema import load_policies

        # Airflow logs to the standard output, which is for the verdicts.
        with redirect_stdout(sys.stderr):
            settings = enter(environment)
            from zenml_mlops.environment.policies import check_environment

            assessment, problems = check_environment(settings)
        failed = assessment.blocking or problems or (strict and assessment.unwaived)
        if sarif:
            sys.stdout.write(to_sarif(assessment, load_policies(), problems))
        elif as_json:
            verdicts = [verdict.record() for verdict in assessment.verdicts]
            report = {"environment": environment, "verdicts": verdicts, "problems": problems}
            print_json(report)
        else:
            for verdict in assessment.verdicts:
                if not verdict.passed:
                    word = "blocks" if verdict.blocks else "waived" if verdict.waiver else str(verdict.mode)
                    console.print(
                        f"{word}  {verdict.policy}  {verdict.subject}: {verdict.message}. {verdict.remedy}"
                    )
            for problem in problems:
                console.print(f"error  {problem}", highlight=False)
            kept = sum(verdict.passed for verdict in assessment.verdicts)
            console.print(
                f"{kept} of {len(assessment.verdicts)} checks passed in {environment}; "
                f"{len(assessment.blocking)} blocking, {len(assessment.warnings)} warnings, "
                f"{len(problems)} other errors"
            )
        if failed:
            raise typer.Exit(1)
