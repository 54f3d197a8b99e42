"""What `mlops doctor` looks at: each check says what it found and, where that is wrong, what to do."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zenml_airflow.contracts.frozen import Frozen
from zenml_airflow.contracts.provenance import platform_modules

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from zenml_airflow.settings.project import Settings

_GIGABYTE: Final = 1 << 30
DISK_WARNING: Final = 5 * _GIGABYTE
DISK_PROBLEM: Final = _GIGABYTE
CLOCK_SECONDS: Final = 30.0
"""How far the clock may be from the one that stamps files before audit entries and partitions look misordered."""


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(Frozen):
    """What a check found.

    Attributes:
        fix: What to do about it; ``None`` where nothing has to be done.
    """

    check: str
    level: Level
    found: str
    fix: str | None = None


def examine(settings: Settings) -> list[Finding]:
    """Make every check; one that fails itself is a finding too."""
    findings = []
    for name, check in CHECKS.items():
        try:
            found = [Finding(check=name, level=level, found=text, fix=fix) for level, text, fix in check(settings)]
        except (RuntimeError, ValueError, OSError, KeyError) as error:
            text = f"{type(error).__name__}: {error}"
            found = [Finding(check=name, level=Level.PROBLEM, found=text, fix="See the message.")]
        findings += found
    return findings


_Said = Iterator[tuple[Level, str, str | None]]


def versions(settings: Settings) -> _Said:
    """Python and every dependency lie within the bounds that the project names."""
    from packaging.specifiers import SpecifierSet

    about = metadata.metadata(_distribution(settings))
    python = ".".join(map(str, sys.version_info[:3]))
    wanted = about["Requires-Python"] or ""
    fits = SpecifierSet(wanted).contains(python)
    yield _said(fits, f"Python {python}, wanted {wanted}", "Run `make setup` with that Python.")
    wrong = []
    needed = _requirements(_distribution(settings))
    for requirement in needed:
        try:
            installed = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            installed = "missing"
        if installed == "missing" or not requirement.specifier.contains(installed, prereleases=True):
            wrong.append(f"{requirement.name} {installed}, wanted {requirement.specifier}")
    text = "; ".join(wrong) or f"{len(needed)} dependencies within their bounds"
    yield _said(not wrong, text, "Install the locked versions with `make setup`.")


def _distribution(settings: Settings) -> str:
    """The installed project; where it is not installed, the platform."""
    import tomllib

    try:
        content = tomllib.loads((settings.project_root / "pyproject.toml").read_text(encoding="utf-8"))
        name = str(content["project"]["name"])
        metadata.version(name)
    except (OSError, KeyError, tomllib.TOMLDecodeError, metadata.PackageNotFoundError):
        return "zenml-airflow-mlops"
    return name


def _requirements(project: str) -> list[Requirement]:
    """What the project needs, and what the platform needs with the extras that the project asks for."""
    from packaging.requirements import Requirement

    own = [Requirement(text) for text in metadata.requires(project) or ()]
    found = [(requirement, {""}) for requirement in own]
    for asked in own:
        if asked.name in platform_modules().values():
            extras = {"", *asked.extras}
            found += [(Requirement(text), extras) for text in metadata.requires(asked.name) or ()]
    return [
        requirement
        for requirement, extras in found
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)
    ]


def disk(settings: Settings) -> _Said:
    """The state folder can be written and has room."""
    folder = _existing(settings.state_dir)
    free = shutil.disk_usage(folder).free
    level = Level.PROBLEM if free < DISK_PROBLEM else Level.WARNING if free < DISK_WARNING else Level.OK
    fix = None if level is Level.OK else "Free some: logs and artifacts lie below the state folder."
    yield level, f"{free / _GIGABYTE:.1f} GB are free at {folder}", fix
    yield _said(
        os.access(folder, os.W_OK),
        f"{folder} can be written",
        f"Make {folder} writable.",
        f"{folder} is read-only",
    )


def clock(settings: Settings) -> _Said:
    """The clock agrees with the one that stamps the state folder's files, which may be another machine's."""
    folder = _existing(settings.state_dir)
    probe = folder / f".doctor-{os.getpid()}"
    try:
        probe.write_bytes(b"")
        apart = abs(probe.stat().st_mtime - time.time())
    finally:
        probe.unlink(missing_ok=True)
    yield _said(
        apart <= CLOCK_SECONDS,
        f"{apart:.1f} s from the clock of the state folder's file system",
        "Set both clocks by NTP.",
    )


def ports(settings: Settings) -> _Said:
    """The local services run, or their ports are free for them."""
    from zenml_mlops.local import services

    if services.supervisor_alive(settings):
        sick = [f"{name} {state}" for name, state in services.status(settings).items() if state == "stopped"]
        text = f"services are running; {', '.join(sick)}" if sick else "services are running"
        yield _said(not sick, text, "Read `mlops logs`, then `mlops down` and `mlops up`.")
        return
    try:
        services.check_ports(settings)
    except services.ServiceError as error:
        yield Level.PROBLEM, str(error), "Stop the other program, or choose another port."
        return
    yield Level.OK, "services are stopped, and their ports are free", None


def connections(settings: Settings) -> _Said:
    """Airflow answers and takes the local user, if it runs."""
    from zenml_mlops.airflow_api.api import AirflowApi, AirflowApiError
    from zenml_mlops.local import services

    if not services.supervisor_alive(settings):
        yield Level.OK, "Airflow is not running, so it was not checked", None
        return
    try:
        api = AirflowApi(settings)
        errors = api.request("GET", "importErrors")["total_entries"]
    except AirflowApiError as error:
        yield Level.PROBLEM, str(error), "Read `mlops logs api-server`, then `mlops down` and `mlops up`."
        return
    fix = "`airflow dags list-import-errors` names them, after `mlops env`."
    yield _said(errors == 0, f"Airflow answers; {errors} DAG files cannot be imported", fix)


def bundle(settings: Settings) -> _Said:
    """The DAG files have the manifests that they read, and these were deployed from this configuration."""
    from zenml_airflow.manifest.manifest import ManifestError, manifest_path, read_manifest
    from zenml_mlops.environment.deployments import pipelines

    if not any(settings.dags_dir.glob("*.py")):
        yield Level.PROBLEM, f"there is no DAG file in {settings.dags_dir}", "Check out the repository as a whole."
        return
    for name, (own, _) in pipelines(settings).items():
        try:
            manifest = read_manifest(manifest_path(settings.manifests_dir, name), name)
        except ManifestError as error:
            yield Level.PROBLEM, str(error), f"Deploy it with `mlops deploy {name}`."
            continue
        if manifest.environment != settings.environment:
            text = f"the manifest of {name} is of {manifest.environment!r}"
            yield Level.WARNING, text, f"Deploy it with `mlops deploy {name} --env {settings.environment}`."
        elif manifest.config_digest != own.deployed_digest(name):
            text = f"the configuration of {name} was changed after it was deployed"
            yield Level.WARNING, text, f"Deploy it with `mlops deploy {name}`."
        else:
            yield Level.OK, f"{name} is deployed as configured", None


def stores(settings: Settings) -> _Said:
    """ZenML's store answers and knows the environment's stacks."""
    if not (settings.state_dir / "zenml").is_dir() and not os.environ.get("ZENML_STORE_URL"):
        yield Level.WARNING, "there is no ZenML store yet", "Create it with `mlops deploy`."
        return
    from zenml.client import Client

    from zenml_mlops.policy.describe import stack_environment

    client = Client()
    found = [stack.name for stack in client.list_stacks(size=1000, hydrate=True).items if stack_environment(stack)]
    text = f"ZenML's store ({client.zen_store.type.value}) answers; stacks: {', '.join(found) or 'none'}"
    yield _said(bool(found), text, "Apply the stacks with `mlops stack apply`.", bad=Level.WARNING)


def audit(settings: Settings) -> _Said:
    """The audit log is whole and can be written."""
    from zenml_mlops.audit import open_log, verify

    if not settings.storage.audit:
        yield Level.WARNING, "no audit log is configured", "Name one in `storage.audit`."
        return
    log = open_log(settings.resolve(settings.storage.audit))
    found = verify(log.lines())
    text = (
        f"{found.entries} entries are whole" if found.whole else f"broken at entry {found.broken}: {found.problem}"
    )
    yield _said(found.whole, text, "See `mlops audit verify`; restore the log from a copy.")


CHECKS: Final[dict[str, Callable[[Settings], _Said]]] = {
    "versions": versions,
    "disk": disk,
    "clock": clock,
    "ports": ports,
    "connections": connections,
    "bundle": bundle,
    "stores": stores,
    "audit log": audit,
}
"""The checks, in the order in which they are made."""


def _said(
    good: bool, text: str, fix: str, otherwise: str | None = None, *, bad: Level = Level.PROBLEM
) -> tuple[Level, str, str | None]:
    return (Level.OK, text, None) if good else (bad, otherwise or text, fix)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(one for one in (folder, *folder.parents) if one.is_dir())
