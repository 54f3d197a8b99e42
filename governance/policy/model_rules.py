"""Rules about model versions, judged before one enters a stage."""

from __future__ import annotations

from collections.abc import Iterator

from governance.policy.facts import ModelVersionFacts
from governance.policy.rules import NoParameters, Parameters, rule


class GateParameters(Parameters):
    """Gates that must be among the recorded ones."""

    required: tuple[str, ...] = ()


@rule
def model_gates(facts: ModelVersionFacts, parameters: GateParameters) -> Iterator[str]:
    """The run that made the version completed, and recorded that each gate passed."""
    if facts.run_status is None:
        yield "ZenML knows no run that produced it: train a new version"
    elif facts.run_status != "completed":
        yield f"the run that produced it is {facts.run_status}, not completed"
    if not facts.gates:
        yield "its run recorded no gate results: place quality_gate in the pipeline"
    failed = sorted(name for name, passed in facts.gates.items() if not passed)
    if failed:
        yield f"the gates {failed} failed"
    missing = sorted(set(parameters.required) - set(facts.gates))
    if facts.gates and missing:
        yield f"the gates {missing} were not judged"


@rule
def model_card(facts: ModelVersionFacts, _parameters: NoParameters) -> Iterator[str]:
    """A version has a model card: what it is for, and where it must not be used."""
    if not facts.has_card:
        yield "it has no model card"


@rule
def model_data_digest(facts: ModelVersionFacts, _parameters: NoParameters) -> Iterator[str]:
    """The data that a version was trained on can be told by its digest."""
    if not facts.data_digest:
        yield "the digest of its training data is not recorded"


@rule
def model_commit(facts: ModelVersionFacts, _parameters: NoParameters) -> Iterator[str]:
    """The code that a version was trained by can be found in git."""
    if not facts.commit:
        yield "the commit that it was trained from is not recorded"
    elif facts.dirty is not False:
        yield f"it was trained from a checkout that differs from commit {facts.commit[:12]}"


class EnvironmentParameters(Parameters):
    """Environments whose training runs may make versions for this one."""

    trained_in: tuple[str, ...]


@rule
def model_environment(facts: ModelVersionFacts, parameters: EnvironmentParameters) -> Iterator[str]:
    """A version was trained where the policies were enforced."""
    if facts.environment not in parameters.trained_in:
        yield f"it was trained in environment {facts.environment!r}, allowed are {list(parameters.trained_in)}"


class ApprovalParameters(Parameters):
    """Stages that a person must approve."""

    stages: tuple[str, ...]


@rule
def model_approval(facts: ModelVersionFacts, parameters: ApprovalParameters) -> Iterator[str]:
    """A person has approved that the version enters the stage."""
    if facts.target in parameters.stages and not facts.approved_by:
        yield f"nobody has approved it for {facts.target}"
