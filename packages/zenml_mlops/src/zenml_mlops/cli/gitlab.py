"""``mlops gitlab``: what the pipeline in `.gitlab-ci.yml` needs of the command line."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from zenml_mlops.cli.github import checked_secret, read_secret
from zenml_mlops.cli.options import group
from zenml_mlops.cli.sentences import sentences

gitlab_app = group("For GitLab CI/CD jobs only.")


@gitlab_app.command("secrets")
def hand_on_secrets(
    secret: Annotated[str, typer.Argument(help="Name or ARN of the secret in AWS Secrets Manager.")],
    to: Annotated[Path, typer.Option("--to", help="File to write, for the job's shell to read.")],
) -> None:
    """Read an environment's logins from AWS Secrets Manager into a file of shell variables.

    The secret is a JSON object of variables. The job logs in to AWS with its own ID token, so that GitLab keeps no
    key of the platform. No value is printed: GitLab masks in a log what its own settings hold, and nothing else.

    For example, in a job: `mlops gitlab secrets ml-platform/production --to logins`, then `. ./logins`
    """
    with sentences():
        values = checked_secret(read_secret(secret))
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in values.items()]
        # Only its owner may read it, from before there is anything in it, also where the file was there already.
        to.touch(mode=0o600)
        to.chmod(0o600)
        to.write_text("".join(lines), encoding="utf-8")
        sys.stdout.write(f"set {', '.join(sorted(values))}\n")
