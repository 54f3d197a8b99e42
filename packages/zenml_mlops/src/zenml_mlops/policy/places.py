"""Where the project keeps its policies and its waivers."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from zenml_airflow.settings.project import PROJECT_ROOT_ENV, SettingsError, project_root


class NoPoliciesError(RuntimeError):
    """No project is here whose policies could be read."""


def governance_dir() -> Path:
    """The project's ``governance/``: of the code that this process runs, else of the checkout.

    A step runs the code of its snapshot, which has the policies that it was deployed with.

    Raises:
        NoPoliciesError: If there is neither.
    """
    spec = find_spec("governance")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent
    try:
        return project_root() / "governance"
    except SettingsError as error:
        raise NoPoliciesError(
            "There are no policies here: install the project's package, which has them in governance/, or set "
            f"{PROJECT_ROOT_ENV} to its checkout."
        ) from error
