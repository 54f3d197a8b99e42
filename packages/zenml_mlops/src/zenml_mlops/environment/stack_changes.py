"""An environment's stack file against the server, and each change of the server on record."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from zenml_mlops.environment.deployments import pipelines
from zenml_mlops.environment.stack_files import checked_stack

if TYPE_CHECKING:
    from zenml_airflow.settings.project import Settings
    from zenml_mlops.stacks.load import LoadedStack
    from zenml_mlops.stacks.plan import Change
    from zenml_mlops.stacks.schema import StackFile

ACTION = "apply_stack"
"""Action of the audit log's entries about an apply."""

POLICY = "stack-of-environment"
"""The policy whose mode says what drift does to a deployment."""


class StackDriftError(RuntimeError):
    """The server is not what the stack file says. The message names every difference."""


def check_before_deployment(settings: Settings, progress: Callable[[str], None]) -> LoadedStack:
    """Compare the stack file with the server, before a deployment changes anything.

    Args:
        progress: Called with each difference where differences do not stop a deployment.

    Raises:
        StackDriftError: If there is a difference and :data:`POLICY` is enforced in the environment.
        StackFileError: If the file itself is wrong.
    """
    from zenml_mlops.audit import Outcome, record
    from zenml_mlops.policy.schema import Mode, load_policies
    from zenml_mlops.stacks.apply import plan_stack_file

    environment = settings.environment
    loaded = checked_stack(settings)
    changes, _ = plan_stack_file(loaded, os.environ)
    found = [f"{c.target} was changed by hand: {'; '.join(c.details)}" for c in changes if c.by_hand]
    mode = next(policy.mode_in(environment) for policy in load_policies() if policy.id == POLICY)
    if not found or mode is Mode.OFF:
        return loaded
    if mode is not Mode.ENFORCE:
        for line in found:
            progress(f"drift: {line}")
        return loaded
    message = "\n".join(
        [
            f"Nothing is deployed to {environment!r}: it does not match stacks/{environment}.yaml says.",
            *(f"- {line}" for line in found),
            f"`mlops stack plan {environment}` shows what differs; `mlops stack apply {environment}` makes the "
            "server match the file.",
        ]
    )
    subject = f"stack:{loaded.file.scheduled}"
    record("deploy", subject, Outcome.REFUSED, reason=message, links={"environment": environment})
    raise StackDriftError(message)


def apply_and_record(loaded: LoadedStack, *, prune: bool = False) -> Iterator[Change]:
    """Make the server match a stack file; the audit log says what was to be changed and what was.

    An apply that has nothing to change leaves no entry.

    Args:
        prune: Whether to delete what the file names no more.

    Raises:
        ApplyError: If a change fails.
        AuditError: If the log cannot be written; nothing is changed then.
        StackFileError: If a secret can be found nowhere, or a name belongs to another environment.
    """
    from zenml_mlops.audit import Outcome, record
    from zenml_mlops.stacks.apply import apply_stack_file
    from zenml_mlops.stacks.plan import plan_digest

    subject, links = f"stacks:{loaded.file.name}", {"environment": loaded.file.name}
    made: list[Change] = []

    def before_changes(changes: Sequence[Change]) -> None:
        links["plan"] = plan_digest(changes)
        evidence = [{"change": str(c), "details": list(c.details), "by_hand": c.by_hand} for c in changes]
        record(ACTION, subject, Outcome.ALLOWED, verdicts=evidence, links=links)

    try:
        for change in apply_stack_file(loaded, os.environ, prune=prune, before_changes=before_changes):
            made.append(change)
            yield change
    except BaseException as error:
        if "plan" in links:
            reason = str(error) or type(error).__name__
            record(
                ACTION,
                subject,
                Outcome.FAILED,
                reason=reason,
                verdicts=[{"change": str(change)} for change in made],
                links=links,
            )
        raise
    if made:
        record(ACTION, subject, Outcome.DONE, verdicts=[{"change": str(c)} for c in made], links=links)


def apply_stack(settings: Settings, loaded: LoadedStack | None = None) -> list[str]:
    """Bring the ZenML store in line with the environment's stack file; return the changes made.

    Nothing is deleted: that is for ``mlops stack apply --prune``.

    Args:
        loaded: The stack file, if it was read and checked before.
    """
    loaded = loaded or checked_stack(settings)
    prepare_stores(settings, loaded.file)
    return [str(change) for change in apply_and_record(loaded)]


def prepare_stores(settings: Settings, file: StackFile) -> None:
    """Create what a local stack needs below the state folder before ZenML and MLflow use it."""
    (settings.state_dir / "artifacts").mkdir(parents=True, exist_ok=True)
    for tracker in file.components.get("experiment_tracker", {}).values():
        uri = str(tracker.config.get("tracking_uri", ""))
        if uri.startswith("sqlite:"):
            _create_experiments(settings, uri)


def _create_experiments(settings: Settings, uri: str) -> None:
    """Create each pipeline's experiment in a local MLflow store, so that its files lie below the state folder.

    ZenML names the experiment after the pipeline; MLflow would create it with a relative artifact folder. A
    tracking server knows where its artifacts go.
    """
    from mlflow.tracking import MlflowClient

    folder = settings.state_dir / "mlflow"
    folder.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(tracking_uri=uri)
    for pipeline in pipelines(settings):
        if client.get_experiment_by_name(pipeline) is None:
            client.create_experiment(pipeline, artifact_location=(folder / "artifacts" / pipeline).as_uri())
