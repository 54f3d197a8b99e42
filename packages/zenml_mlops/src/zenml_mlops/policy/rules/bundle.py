"""Rules about bundles: model versions that leave a server, or come from another one."""

from __future__ import annotations

from collections.abc import Iterator

from zenml_mlops.policy.facts import BundleFacts
from zenml_mlops.policy.rules.model import failed_gates
from zenml_mlops.policy.rules.registry import NoParameters, Parameters, rule


@rule
def bundle_signature(facts: BundleFacts, _parameters: NoParameters) -> Iterator[str]:
    """Somebody answers for what is in a bundle."""
    if not facts.signed_by:
        yield "it is not signed"


@rule
def bundle_gates(facts: BundleFacts, _parameters: NoParameters) -> Iterator[str]:
    """Only a version travels whose run completed and whose gates all passed."""
    if facts.run_status is None:
        yield "no run that trained the version is recorded"
    elif facts.run_status != "completed":
        yield f"the run that trained the version is {facts.run_status}, not completed"
    if not facts.gates:
        yield "its run recorded no gate results"
    if failed := failed_gates(facts.gates):
        yield f"the gates {failed} failed"


class SourceParameters(Parameters):
    """Environments that versions may come from."""

    exported_from: tuple[str, ...]


@rule
def bundle_source(facts: BundleFacts, parameters: SourceParameters) -> Iterator[str]:
    """A version comes from an environment that is one step before."""
    if facts.environment not in parameters.exported_from:
        yield (
            f"it was exported from environment {facts.environment!r}; allowed: {list(parameters.exported_from)}"
        )
