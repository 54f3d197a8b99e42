"""Waivers: who allowed which violation of what, why, and until when. They stand in git, reviewed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from pydantic import Field, ValidationError

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.policy.places import governance_dir
from zenml_mlops.policy.schema import Policy, PolicyFileError, describe
from zenml_mlops.yaml_files import YAMLError, read_yaml


class Waiver(Frozen):
    """A violation that is accepted for a while.

    Attributes:
        subject: What may break it, as verdicts name it, such as ``dag:nightly_export``.
        until: Last day on which it holds.
        environments: Where it holds; everywhere if empty.
    """

    policy: str
    subject: str = Field(pattern=r"^[a-z_]+:\S+$")
    who: str = Field(min_length=1)
    why: str = Field(min_length=10)
    until: date
    environments: tuple[str, ...] = ()

    def covers(self, policy: str, subject: str, environment: str) -> bool:
        """Whether it is about this violation; whether it still holds is another question."""
        here = not self.environments or environment in self.environments
        return here and (self.policy, self.subject) == (policy, subject)


class WaiverFile(Frozen):
    """The file of all waivers."""

    waivers: tuple[Waiver, ...] = ()


def load_waivers(policies: Iterable[Policy], path: Path | None = None) -> tuple[Waiver, ...]:
    """Read the waivers, by default those of the project; a missing file holds none.

    Raises:
        PolicyFileError: If the file is wrong, or names a policy that does not exist.
    """
    path = path or governance_dir() / "waivers.yaml"
    try:
        waivers = WaiverFile.model_validate(read_yaml(path) or {}).waivers
    except FileNotFoundError:
        return ()
    except YAMLError as error:
        raise PolicyFileError(f"{path.name} is not valid YAML: {error}") from error
    except ValidationError as error:
        raise PolicyFileError(f"{path.name}: " + "; ".join(describe(error))) from error
    known = {policy.id for policy in policies}
    if unknown := sorted({waiver.policy for waiver in waivers} - known):
        raise PolicyFileError(f"{path.name} waives policies that do not exist: {unknown}. Known: {sorted(known)}.")
    return waivers


def expired(waivers: Sequence[Waiver], today: date) -> list[str]:
    """A sentence for each waiver past its date."""
    return [
        f"the waiver of {waiver.policy!r} for {waiver.subject!r} ended on {waiver.until} (by {waiver.who}: "
        f"{waiver.why}): remove it, or have it renewed"
        for waiver in waivers
        if waiver.until < today
    ]
