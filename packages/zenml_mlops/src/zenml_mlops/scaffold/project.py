"""A project of another use case, made from the template by Copier; and what a newer template brings to one."""

from __future__ import annotations

import json
import keyword
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import NormalDist
from typing import Any
from urllib.parse import urlsplit

import yaml
from packaging.version import InvalidVersion, Version

from zenml_mlops.scaffold.inspection import Column, Table
from zenml_mlops.scaffold.proposals import last_day, proposed

SCAFFOLD = Path(__file__).parent
ANSWERS = ".copier-answers.yml"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_TAKEN = re.compile(
    "yes|no|on|off|true|false|null"
    "|model|pipelines|steps|config|use_case"
    "|landing|predictions|quarantine|shadow|monitoring|audit|bundles|artifacts|raw|airflow|mlflow|zenml"
)
"""Words that YAML reads as something else, modules of the template, and folders that a local run writes."""


class ProjectError(ValueError):
    """A project that cannot be made or upgraded. The message says what to change."""


@dataclass(frozen=True)
class Platform:
    """Where a project installs the platform from: the package index, unless one of the others is named.

    Attributes:
        wheels: Folder or index page of their wheels.
        checkout: A checkout of it, for trying a platform that is being changed.
    """

    version: str = field(default_factory=lambda: version("zenml-airflow-mlops"))
    wheels: str | None = None
    git: str | None = None
    tag: str | None = None
    checkout: str | None = None

    @property
    def template_tag(self) -> str:
        """The tag of the template that belongs to it."""
        return self.tag or f"v{self.version}"

    def answer(self) -> dict[str, str]:
        """The same as plain data, as the template and its answers have it."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    @classmethod
    def named(cls, text: str | None, checkout: Path | None, target: Path) -> Platform:
        """What ``--platform`` says: ``GIT@TAG``, a folder of wheels, or a version.

        Args:
            checkout: The checkout of the platform in which the command runs, if it runs in one.
        """
        if text is None:
            return cls() if checkout is None else cls(checkout=os.path.relpath(checkout, target))
        folder = Path(text).expanduser()
        if folder.is_dir():
            wheels = [Version(one.name.split("-")[1]) for one in folder.glob("zenml_airflow_mlops-*.whl")]
            if not wheels:
                raise ProjectError(f"--platform names {text}, which has no wheel of zenml-airflow-mlops.")
            return cls(version=str(max(wheels)), wheels=os.path.relpath(folder, target))
        url, _, tag = text.rpartition("@")
        try:
            found = str(Version(tag))
        except InvalidVersion:
            raise ProjectError(
                f"--platform is {text!r}: name a version, a folder of wheels, or GIT@TAG, whose tag is a version."
            ) from None
        return cls(version=found, git=without_credentials(url), tag=tag) if url else cls(version=found)


def without_credentials(url: str) -> str:
    """The address of a repository, which is written down and committed.

    Raises:
        ProjectError: If it holds a password or a token.
    """
    parts = urlsplit(url)
    if parts.password or (parts.scheme.startswith("http") and parts.username):
        raise ProjectError(
            "The address of the repository holds a credential: leave it to Git's credential helper."
        )
    return url


def check_name(name: str) -> None:
    """Check what DAGs, assets, the model, and the package of a further use case are to be called.

    Raises:
        ProjectError: If it is no such name, or stands for something already.
    """
    if not _NAME.fullmatch(name):
        raise ProjectError(
            f"--name is {name!r}; it takes lower-case letters, digits, underscores: `loan_default`."
        )
    if keyword.iskeyword(name) or _TAKEN.fullmatch(name):
        raise ProjectError(f"--name is {name!r}, which is already in use: choose another one.")


@dataclass(frozen=True)
class NewProject:
    """What a new project is about.

    Attributes:
        name: What DAGs, assets and the model are named after.
        title: The same for people.
        outcome: What the risk is of, as it follows "the risk that".
        classification: Of the data, such as ``internal``.
        subgroups: Columns whose values are compared for fairness.
        label_delay: Days after which an outcome is known.
    """

    name: str
    title: str
    outcome: str
    owner: str
    classification: str
    subgroups: tuple[str, ...]
    label_delay: int
    table: Table
    platform: Platform

    def answers(self) -> dict[str, Any]:
        """What the template asks, as plain data."""
        table = self.table
        values = proposed(
            table,
            name=self.name,
            title=self.title,
            outcome=self.outcome,
            owner=self.owner,
            subgroups=list(self.subgroups),
            label_delay=self.label_delay,
        )
        return {
            **{key: getattr(self, key) for key in ("name", "title", "outcome", "owner", "classification")},
            "platform": self.platform.answer(),
            "contract": _contract(table),
            "source": _source(table, self.name),
            "proposed": {**values, "last_day": last_day(table), "summary": _summary(table)},
        }


def create(target: Path, data: Path, project: NewProject, *, template: str | None, lock: Path | None) -> list[str]:
    """Make the project; ``target`` appears whole or not at all.

    Args:
        target: Folder of the new one: absent or empty.
        data: The table; its copy in ``data/`` is ignored by Git.
        template: A Git repository of the platform, at the platform's tag; the installed template by default.
        lock: A lock whose versions are taken where they fit, where uv can lock.

    Raises:
        ProjectError: If the folder is in use.
    """
    from copier import run_copy

    check_target(target)
    with _whole(target) as folder:
        run_copy(
            without_credentials(template) if template else str(SCAFFOLD),
            folder,
            data=project.answers(),
            vcs_ref=project.platform.template_tag if template else None,
            defaults=True,
            quiet=True,
        )
        if template is None:
            # It lies somewhere on this machine; by its version it is found anywhere.
            _record(folder / ANSWERS, _src_path=None, _commit=project.platform.template_tag)
        _format(folder)
        (folder / "data").mkdir()
        shutil.copyfile(data, folder / "data" / f"{project.name}.csv")
        _git(folder, "init", "--quiet", "--initial-branch", "main")
    # Here, since the platform may lie at a path that is relative to the project.
    _lock(target, lock)
    _commit(target, project.name)
    return _git(target, "ls-files")


def add(folder: Path, data: Path, project: NewProject) -> list[str]:
    """Put a further use case into a project: pipelines, models, tables and DAGs with names of its own.

    Args:
        data: The table; its copy in ``data/`` is ignored by Git.

    Raises:
        ProjectError: If the project has one of that name, or has uncommitted changes.
    """
    from copier import run_copy

    name = project.name
    package = folder / "zenml_pipelines" / name
    settings = folder / "configs" / "use_cases" / f"{name}.yaml"
    first = yaml.safe_load((folder / "configs" / "base.yaml").read_text(encoding="utf-8")).get("use_case")
    if package.exists() or package.with_suffix(".py").exists() or settings.exists() or name == first:
        raise ProjectError(f"The project has a use case {name!r} already.")
    if _git(folder, "status", "--porcelain"):
        raise ProjectError("There are uncommitted changes: commit them first, so that what is new can be seen.")
    with tempfile.TemporaryDirectory() as place:
        made = Path(place)
        run_copy(str(SCAFFOLD), made, data=project.answers(), defaults=True, quiet=True)
        pipelines = made / "zenml_pipelines"
        new = {
            **{path: package / path.relative_to(pipelines) for path in pipelines.rglob("*.*")},
            **{path: folder / "dags" / path.name for path in (made / "dags").glob(f"{name}_*.py")},
            made / "configs" / "base.yaml": settings,
        }
        for source, target in new.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_further(source.read_text(encoding="utf-8"), name), encoding="utf-8")
    _format(folder, *new.values())
    (folder / "data").mkdir(exist_ok=True)
    shutil.copyfile(data, folder / "data" / f"{name}.csv")
    return sorted(target.relative_to(folder).as_posix() for target in new.values())


def _further(text: str, name: str) -> str:
    """What the template says of the one use case of a project, said of a further one."""
    for pattern, other in (
        (r"\bzenml_pipelines\.", f"zenml_pipelines.{name}."),
        (r'@pipeline\(name="', f'@pipeline(name="{name}_'),
        (r"PipelineSpec\(name=name", f'PipelineSpec(name=f"{name}_{{name}}"'),
        (r'ZenMLTaskGroup\("', f'ZenMLTaskGroup("{name}_'),
        (r"(?m)^  raw: raw ", f"  raw: raw/{name} "),
    ):
        text = re.sub(pattern, other, text)
    if not text.startswith("# What every environment"):
        return text
    # Where it runs is the environment's; its tables and raw data lie in folders of its own.
    head = f"# The use case {name}: its tables lie below {name}/, where this file names no other place.\n"
    return head + _without(text.partition("\n")[2], "timezone", "airflow", "storage")


def _without(document: str, *sections: str) -> str:
    """A YAML document without some of its sections."""
    kept, keep = [], True
    for line in document.splitlines(keepends=True):
        if line[:1].isalpha():
            keep = line.partition(":")[0] not in sections
        if keep:
            kept.append(line)
    return "".join(kept)


def upgrade(folder: Path, *, template: str | None, platform: Platform | None) -> list[str]:
    """Bring what changed in the template since the project was made or last upgraded: a three-way merge.

    Args:
        folder: The project, a Git checkout without uncommitted changes.
        template: A Git repository of the platform; the one that the project was made from by default.
        platform: The platform to change to; its version names the tag of the template.

    Returns:
        Files in which both sides changed the same lines; they hold conflict markers.

    Raises:
        ProjectError: If ``mlops new`` did not make it, it has uncommitted changes, or no template is known.
    """
    from copier import run_update
    from copier.errors import CopierError

    path = folder / ANSWERS
    if not path.is_file():
        raise ProjectError(f"{folder} has no {ANSWERS}: `mlops upgrade` renews a project that `mlops new` made.")
    if _git(folder, "status", "--porcelain"):
        raise ProjectError("There are uncommitted changes: commit them first, so that nothing of yours is lost.")
    answers = yaml.safe_load(path.read_text(encoding="utf-8"))
    known = without_credentials(template) if template else answers.get("_src_path")
    if known is None:
        raise ProjectError(
            "The project was made from an installed template: name a Git repository of the platform as --template."
        )
    new = platform or Platform(**answers["platform"])
    if known != answers.get("_src_path"):
        _record(path, _src_path=known)
        _git(folder, "commit", "--quiet", "--all", "--message", f"Name the template {known}", "--no-verify")
    try:
        run_update(
            folder,
            data={"platform": new.answer()},
            vcs_ref=new.template_tag,
            defaults=True,
            overwrite=True,
            quiet=True,
        )
    except (CopierError, ValueError) as error:
        raise ProjectError(f"The template {known} at {new.template_tag} cannot be taken: {error}") from error
    return _git(folder, "diff", "--name-only", "--diff-filter=U")


def check_target(target: Path) -> None:
    """Check that a project can be made in a folder.

    Raises:
        ProjectError: If it is in use.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ProjectError(f"{target} exists already: name a folder that does not exist yet, or an empty one.")


def _contract(table: Table) -> dict[str, Any]:
    return {
        "case": "row",
        "group": "row" if table.group == table.row_id else table.group,
        "row_id": table.row_id,
        "group_id": table.group,
        "label": table.target,
        "labels": list(table.labels),
        "event": table.event,
        "columns": [
            {"name": table.row_id, "type": "integer", "minimum": 0, "feature": False},
            *(_rule(column, table) for column in table.columns if column.name != table.row_id),
        ],
    }


def _rule(column: Column, table: Table) -> dict[str, Any]:
    rule: dict[str, Any] = {"name": column.name, "type": column.type}
    if column.minimum is not None and column.name != table.group:
        rule |= {"minimum": column.minimum, "maximum": column.maximum}
    if not column.required or column.type == "text":
        rule["required"] = False
    if not column.feature or column.name == table.group:
        rule["feature"] = False
    return rule


def _source(table: Table, name: str) -> dict[str, Any]:
    numbers = [column for column in table.features if column.type != "text"]
    texts = [column for column in table.columns if column.type == "text"]
    return {
        "file": f"{name}.csv",
        "numbered": table.numbered,
        "rows": max(1000, min(100_000, table.rows)),
        "event_share": round(table.event_share, 4),
        "strength": round(_strength(table.auc), 2),
        "ranges": {one.name: [float(f"{one.low:.6g}"), float(f"{one.high:.6g}")] for one in numbers},
        "values": {one.name: list(one.values or ("a", "b")) for one in texts},
    }


def _summary(table: Table) -> str:
    column, alone = table.best_column
    return (
        f"The first table has {table.rows:,} rows, {table.event_share:.1%} of them with the event; a quick model "
        f"ranked them with AUC {table.auc:.3f}, and `{column}` alone with {alone:.3f}."
    )


def _record(path: Path, **changed: str | None) -> None:
    """Change answers; ``None`` takes one away."""
    lines = [
        line for line in path.read_text(encoding="utf-8").splitlines() if line.partition(":")[0] not in changed
    ]
    new = [f"{key}: {json.dumps(value)}" for key, value in changed.items() if value is not None]
    path.write_text("\n".join([lines[0], *new, *lines[1:]]) + "\n", encoding="utf-8")


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


def _format(folder: Path, *files: Path) -> None:
    """Format what was made, where the formatter is installed: the new project checks itself with it."""
    ruff = Path(sys.executable).with_name("ruff")
    python = [str(path.relative_to(folder)) for path in files if path.suffix == ".py"] or ["."]
    if ruff.is_file():
        for command in (["format"], ["check", "--fix", "--exit-zero"]):
            subprocess.run([ruff, *command, "--quiet", *python], cwd=folder, check=True)


def _lock(folder: Path, known: Path | None) -> None:
    """Write ``uv.lock``, where there is uv and it reaches the packages; else ``make setup`` does.

    Args:
        known: A lock whose versions are taken where they fit.
    """
    path = folder / "uv.lock"
    uv = shutil.which("uv") or next((str(found) for found in Path.cwd().glob(".venv-uv/bin/uv")), None)
    if uv is None:
        return
    if known is not None:
        shutil.copyfile(known, path)
    if subprocess.run([uv, "lock", "--quiet"], cwd=folder, capture_output=True, check=False).returncode:
        path.unlink(missing_ok=True)


def _commit(folder: Path, name: str) -> None:
    """The first commit: manifests name the commit that they were made from."""
    known = subprocess.run(["git", "config", "user.email"], capture_output=True, check=False, cwd=folder)
    author = ("-c", "user.name=mlops new", "-c", "user.email=mlops@localhost") if known.returncode else ()
    _git(folder, "add", "--all")
    _git(folder, *author, "commit", "--quiet", "--message", f"Begin {name}")


def _git(folder: Path, *command: str) -> list[str]:
    # A hook of the caller's must not see, nor its environment redirect, the repository.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    run = subprocess.run(["git", *command], cwd=folder, env=env, capture_output=True, text=True, check=False)
    if run.returncode:
        raise ProjectError(f"git {command[0]} failed in {folder}: {run.stderr.strip()}")
    return run.stdout.splitlines()


def _strength(auc: float) -> float:
    """Factor of a standard normal score beside logistic noise, for about this area under the curve.

    For two normal populations, d apart, the area is Phi(d / sqrt(2)) (Green and Swets 1966); a standard logistic
    variable has the variance pi^2 / 3.
    """
    distance = math.sqrt(2) * NormalDist().inv_cdf(min(max(auc, 0.6), 0.97))
    return distance * math.pi / math.sqrt(3)
