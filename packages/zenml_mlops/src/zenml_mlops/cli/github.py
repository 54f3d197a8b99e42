"""``mlops github``: what the workflows of `.github/workflows` need of the command line."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from zenml_mlops.cli.options import group
from zenml_mlops.cli.sentences import sentences

github_app = group("For GitHub Actions jobs only.")
ENVIRONMENT_FILE = "GITHUB_ENV"
HANDED_ON = frozenset(
    {
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_USERNAME",
        "MLOPS_AIRFLOW_PASSWORD",
        "MLOPS_AIRFLOW_TOKEN",
        "MLOPS_AIRFLOW_URL",
        "MLOPS_AIRFLOW_USER",
        "MLOPS_SIGNING_KEY",
        "SLACK_TOKEN",
        "ZENML_STORE_API_KEY",
        "ZENML_STORE_URL",
    }
)
"""Variables that a secret may set: one that it could set freely, such as PATH, would run what it names."""


class SecretError(RuntimeError):
    """A secret cannot be read, or holds what it must not."""


@github_app.command("secrets")
def hand_on_secrets(
    secret: Annotated[str, typer.Argument(help="Name or ARN of the secret in AWS Secrets Manager.")],
) -> None:
    """Read an environment's logins from AWS Secrets Manager and hand them to the job's later steps, masked.

    The secret is a JSON object of variables. The job logs in to AWS with its own OIDC token, so that GitHub keeps
    no key of the platform.

    For example, in a job: `mlops github secrets ml-platform/production`
    """
    with sentences():
        target = os.environ.get(ENVIRONMENT_FILE)
        if not target:
            raise SecretError(f"{ENVIRONMENT_FILE} is not set: this command runs in a job of GitHub Actions.")
        values = checked_secret(read_secret(secret))
        # Masked before anything could print them.
        for value in values.values():
            for line in filter(None, value.splitlines()):
                sys.stdout.write(f"::add-mask::{line}\n")
        sys.stdout.flush()
        with Path(target).open("a", encoding="utf-8") as handle:
            handle.write(environment_lines(values))
        sys.stdout.write(f"set {', '.join(sorted(values))}\n")


def read_secret(name: str) -> str:
    """The text of a secret, read as whoever the process is logged in to AWS as.

    Raises:
        SecretError: If AWS refuses it, or the secret is not text.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import get_session

    try:
        answer = get_session().create_client("secretsmanager").get_secret_value(SecretId=name)
    except (BotoCoreError, ClientError) as error:
        raise SecretError(f"AWS Secrets Manager did not return the secret {name!r}: {error}") from error
    if "SecretString" not in answer:
        raise SecretError(f"The secret {name!r} is binary: it must be a JSON object of variables.")
    return str(answer["SecretString"])


def checked_secret(text: str) -> dict[str, str]:
    """The variables of a secret.

    Raises:
        SecretError: If it is no JSON object of the variables that may be handed on. No message holds a value.
    """
    try:
        content: Any = json.loads(text)
    except ValueError:
        raise SecretError("The secret is not JSON: it must be an object of variables.") from None
    if not isinstance(content, dict) or not content:
        raise SecretError("The secret must be a JSON object of variables, and not an empty one.")
    if unknown := sorted(set(content) - HANDED_ON):
        raise SecretError(
            f"The secret sets {unknown}, which no job may take from it. Allowed: {sorted(HANDED_ON)}."
        )
    if wrong := sorted(name for name, value in content.items() if not isinstance(value, str) or not value):
        raise SecretError(f"The secret holds no text for {wrong}.")
    return dict(content)


def environment_lines(values: Mapping[str, str]) -> str:
    """Variables in the form of GitHub's environment file, each closed by a word that no value can guess."""
    lines = []
    for name, value in values.items():
        end = f"end_{secrets.token_hex(16)}"
        lines += [f"{name}<<{end}", value, end]
    return "\n".join(lines) + "\n"
