"""Where the project keeps its policies and its waivers."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from zenml_airflow.settings.project import project_root


def governance_dir() -> Path:
    """The project's ``governance/``: of the code that this process runs, else of the checkout.

    A step runs the code of its snapshot, which has the policies that it was deployed with.

    Raises:
        SettingsError: If there is neither.
    """
    spec = find_spec("governance")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent
    return project_root() / "governance"
