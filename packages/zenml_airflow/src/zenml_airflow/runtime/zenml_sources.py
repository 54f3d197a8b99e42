"""ZenML takes the platform's modules for what they are: installed packages, also where they lie in the checkout.

ZenML (0.98) names a source after its place below the source root, unless it lies in ``site-packages``. A package
of the same workspace as the project is installed by reference: ``zenml_mlops.materializers`` becomes
``packages.zenml_mlops.src.zenml_mlops.materializers``, is imported a second time under that name, and its classes
are not those that a step was annotated with.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import wrapt

from zenml_airflow.contracts.provenance import platform_modules


def know_platform_sources() -> None:
    """Change what ZenML takes for a package's module in this process: now if it is imported, else once it is."""
    wrapt.register_post_import_hook(_wrap, "zenml.utils.source_utils")


def _wrap(module: Any) -> None:
    module.is_distribution_package_file = _or_of_the_platform(module.is_distribution_package_file)
    module._get_package_for_module = platform_first(module._get_package_for_module)


def _or_of_the_platform(is_package: Callable[..., bool]) -> Callable[..., bool]:
    @wraps(is_package)
    def is_package_of_the_platform(file_path: str, module_name: str) -> bool:
        return module_name.partition(".")[0] in platform_modules() or is_package(file_path, module_name)

    return is_package_of_the_platform


def platform_first(package_of: Callable[..., str | None]) -> Callable[..., str | None]:
    """Have the package of a module of the platform known, whatever else tells those of the others."""

    @wraps(package_of)
    def package(module_name: str) -> str | None:
        return platform_modules().get(module_name.partition(".")[0]) or package_of(module_name)

    return package
