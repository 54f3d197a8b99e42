"""Copy the platform and put another use case into it."""

from __future__ import annotations

import math
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import jinja2
import yaml

from zenml_mlops.scaffold.documents import edited
from zenml_mlops.scaffold.inspection import MISSING, Table
from zenml_mlops.scaffold.proposals import last_day, proposed

TEMPLATES = Path(__file__).parent / "templates"

PLATFORM_TESTS = (
    "bridge",
    "conformance",
    "gitops",
    "hooks",
    "labs",
    "launchers",
    "provider",
    "stacks",
    "startup",
    "walls",
)
"""Folders of tests that know no use case."""

LEFT_OUT = ("benchmarks/", "notebooks/", "tests/", "README.md", ".ci/run")
KEPT = ("tests/conftest.py", "benchmarks/results.")
USE_CASE_MODULES = (
    *("about.py", "contract.py", "features.py"),
    *(f"data/{name}.py" for name in ("archive", "calibration", "labels", "schema", "synthetic")),
    "data/calibration.json",
)
"""Of ``zenml_pipelines/``: what is made anew, or has no place in another use case."""

CI = """#!/usr/bin/env bash
# What CI runs: the checks, then every test.
set -euo pipefail
cd "$(dirname "$0")/.."
make check
make docs
make test
make test-conformance
"""
SUITES = ["docs", "test", "test-conformance"]


class ProjectError(ValueError):
    """A project that cannot be made. The message says what to change."""


@dataclass(frozen=True)
class UseCase:
    """What a new project is about.

    Attributes:
        name: What DAGs, assets and the model are named after.
        title: The same for people.
        outcome: What the risk is of, as it follows "the risk that".
        owner: The team.
        classification: Of the data, such as ``internal``.
        subgroups: Columns whose values are compared for fairness.
        label_delay: Days after which an outcome is known.
        table: The first table.
    """

    name: str
    title: str
    outcome: str
    owner: str
    classification: str
    subgroups: tuple[str, ...]
    label_delay: int
    table: Table


def create(root: Path, target: Path, data: Path, case: UseCase) -> list[str]:
    """Make the project; ``target`` appears whole or not at all.

    Args:
        root: A Git checkout of this project.
        target: Folder of the new one: absent or empty.
        data: The table; its copy in ``data/`` is ignored by Git.
        case: What it is about.

    Returns:
        The files that differ from those of this project, or are new.

    Raises:
        ProjectError: If the folder is in use, or ``root`` is no Git checkout.
    """
    check_target(root, target)
    with _whole(target) as folder:
        _copy(root, folder)
        made = [*_rename(folder, case.name), *_render(folder, case), *_configure(folder, case)]
        (folder / ".ci").mkdir(exist_ok=True)
        (folder / ".ci" / "run").write_text(CI, encoding="utf-8")
        (folder / ".ci" / "run").chmod(0o755)
        ignored = folder / ".gitignore"
        ignored.write_text(f"{ignored.read_text(encoding='utf-8')}/data/\n", encoding="utf-8")
        (folder / "data").mkdir()
        shutil.copyfile(data, folder / "data" / f"{case.name}.csv")
        _format(folder, made)
        _commit(folder, case)
    return made


def check_target(root: Path, target: Path) -> None:
    """Check that a project can be made in a folder.

    Raises:
        ProjectError: If it is in use, or lies in the checkout.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ProjectError(f"{target} exists already: name a folder that is not there yet, or an empty one.")
    if target.resolve().is_relative_to(root.resolve()):
        raise ProjectError(f"{target} lies in this checkout: name a folder outside of it.")


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as parent:
        folder = Path(parent) / target.name
        folder.mkdir()
        yield folder
        if target.exists():
            target.rmdir()
        folder.rename(target)


def _copy(root: Path, folder: Path) -> None:
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        raise ProjectError(f"{root} is no Git checkout of this project: run the command in one.")
    left_out = {f"zenml_pipelines/{name}" for name in USE_CASE_MODULES}
    kept = (*KEPT, *(f"tests/{name}/" for name in PLATFORM_TESTS))
    for name in filter(None, listed.stdout.split("\0")):
        # What was deleted and not committed yet is no part of the checkout.
        wanted = not name.startswith(LEFT_OUT) or name.startswith(kept)
        if wanted and name not in left_out and (root / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, folder / name)
            (folder / name).chmod((root / name).stat().st_mode | stat.S_IWUSR)


def _rename(folder: Path, name: str) -> list[str]:
    """Name the DAG files after the use case, and what the workflows call; no line of a DAG file changes."""
    base = yaml.safe_load((folder / "configs" / "base.yaml").read_text(encoding="utf-8"))
    old, model = base["use_case"], base["pipelines"]["training"]["model_name"]
    renamed = []
    for path in sorted((folder / "dags").glob(f"{old}_*.py")):
        renamed.append(path.rename(path.with_name(path.name.replace(f"{old}_", f"{name}_", 1))))
    for path in sorted((folder / ".github" / "workflows").glob("*.yml")):
        before = path.read_text(encoding="utf-8")
        after = before.replace(model, name).replace(f"{old}_", f"{name}_")
        if path.name == "ci.yml":
            after = edited(after, {"jobs.suite.strategy.matrix.suite": SUITES})
        if after != before:
            path.write_text(after, encoding="utf-8")
            renamed.append(path)
    return [path.relative_to(folder).as_posix() for path in renamed]


def _render(folder: Path, case: UseCase) -> list[str]:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        # What is made is Python, YAML and Markdown.
        autoescape=False,  # noqa: S701
    )
    environment.filters["literal"] = _literal
    known: dict[str, Any] = {
        **vars(case),
        "missing": MISSING,
        "strength": _strength(case.table.auc),
        "synthetic_rows": max(1000, min(100_000, case.table.rows)),
    }
    made = []
    for template in sorted(TEMPLATES.rglob("*.j2")):
        name = template.relative_to(TEMPLATES).with_suffix("")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        text = environment.get_template(template.relative_to(TEMPLATES).as_posix()).render(known)
        (folder / name).write_text(text, encoding="utf-8")
        made.append(name.as_posix())
    return made


def _configure(folder: Path, case: UseCase) -> list[str]:
    values = proposed(
        case.table,
        name=case.name,
        title=case.title,
        outcome=case.outcome,
        owner=case.owner,
        subgroups=list(case.subgroups),
        label_delay=case.label_delay,
    )
    ends = {f"airflow.schedules.{name}.end_date": last_day(case.table) for name in ("training", "batch_inference")}
    changed = {"base": values, "local": ends, "compose": ends}
    for name, found in changed.items():
        path = folder / "configs" / f"{name}.yaml"
        path.write_text(edited(path.read_text(encoding="utf-8"), found), encoding="utf-8")
    return [f"configs/{name}.yaml" for name in changed]


def _format(folder: Path, names: list[str]) -> None:
    """Format what was made, where the formatter is installed: the new project checks itself with it."""
    ruff = Path(sys.executable).with_name("ruff")
    files = [name for name in names if name.endswith(".py")]
    if ruff.is_file():
        for command in (["format"], ["check", "--fix", "--exit-zero"]):
            subprocess.run([ruff, *command, "--quiet", *files], cwd=folder, check=True)


def _commit(folder: Path, case: UseCase) -> None:
    """The first commit: manifests name the commit that they were made from."""
    author = ("-c", "user.name=mlops new", "-c", "user.email=mlops@localhost")
    known = subprocess.run(["git", "config", "user.email"], capture_output=True, check=False, cwd=folder)
    for command in (
        ("init", "--quiet", "--initial-branch", "main"),
        ("add", "--all"),
        (*(() if known.returncode == 0 else author), "commit", "--quiet", "--message", f"Begin {case.name}"),
    ):
        # A hook of the caller's must not see, nor its environment redirect, the new repository.
        env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        subprocess.run(["git", *command], cwd=folder, check=True, env=env)


def _literal(value: Any) -> str:
    """A Python literal: what a name or text in a table holds is never code."""
    if isinstance(value, tuple | list):
        return f"({', '.join(map(repr, value))}{',' if len(value) == 1 else ''})"
    return repr(value)


def _strength(auc: float) -> float:
    """Factor of a standard normal score beside logistic noise, for about this area under the curve.

    For two normal populations, d apart, the area is Phi(d / sqrt(2)) (Green and Swets 1966); a standard logistic
    variable has the variance pi^2 / 3.
    """
    distance = math.sqrt(2) * NormalDist().inv_cdf(min(max(auc, 0.6), 0.97))
    return distance * math.pi / math.sqrt(3)
