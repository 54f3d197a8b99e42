"""Rules about model versions, judged before one enters a stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from zenml_mlops.policy.facts import ModelVersionFacts
from zenml_mlops.policy.rules.registry import NoParameters, Parameters, rule


def failed_gates(gates: Mapping[str, bool]) -> list[str]:
    """The gates that did not pass, by name."""
    return sorted(name for name, passed in gates.items() if not passed)


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
    if failed := failed_gates(facts.gates):
        yield f"the gates {failed} failed"
    if failed_here := failed_gates(facts.local_gates):
        yield f"the gates {failed_here} of this server failed"
    missing = sorted(set(parameters.required) - set(facts.gates))
    if facts.gates and missing:
        yield f"the gates {missing} were not evaluated"


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
        yield f"it was trained in environment {facts.environment!r}; allowed: {list(parameters.trained_in)}"


class ImportParameters(Parameters):
    """What is asked of a version that another server trained.

    Attributes:
        signed: Whether the signer of its bundle must have been verified.
        local_gates: Gates of this server that must have judged it too.
    """

    signed: bool = True
    local_gates: tuple[str, ...] = ()


@rule
def model_import(facts: ModelVersionFacts, parameters: ImportParameters) -> Iterator[str]:
    """Somebody whom this server trusts vouches for a version that another one trained."""
    if facts.imported_from is None:
        return
    if parameters.signed and not facts.signed_by:
        yield f"it was imported from {facts.imported_from} without a signature, so nobody vouches for its gates"
    if missing := sorted(set(parameters.local_gates) - set(facts.local_gates)):
        yield f"it was imported, and the gates {missing} of this server have not evaluated it"


class ApprovalParameters(Parameters):
    """Stages that a person must approve.

    Attributes:
        imported: Whether an approval counts that was given on the server which a signed bundle comes from.
    """

    stages: tuple[str, ...]
    imported: bool = False


@rule
def model_approval(facts: ModelVersionFacts, parameters: ApprovalParameters) -> Iterator[str]:
    """A person has approved that the version enters the stage."""
    if facts.target in parameters.stages and not facts.approved_by:
        yield f"nobody has approved it for {facts.target}"
    elif facts.target in parameters.stages and facts.approval_imported and not parameters.imported:
        yield f"{facts.approved_by} approved it for {facts.target} on another server, and nobody has on this one"
