"""A Git bundle that moves on to a commit only when its DAG files can be parsed.

Airflow's own bundle follows its branch wherever it leads. A file that cannot be parsed takes its DAGs off the
schedule, and with them the tasks of their runs in flight, until somebody repairs the branch.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import structlog
from airflow.dag_processing.bundles.base import BundleVersionLock
from airflow.providers.git.bundles.git import GitDagBundle
from git import Repo

from zenml_airflow.bundles.check import check_folder
from zenml_airflow.bundles.import_errors import clear_import_errors, deployed_version, report_import_errors

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class RejectedCommit:
    """A commit that the bundle does not move on to: the errors by file, and when it was checked."""

    commit: str
    errors: dict[str, str]
    checked_at: float


class CheckedGitDagBundle(GitDagBundle):
    """Airflow's Git bundle, which stays at the last commit that was good while the branch holds a bad one.

    Before it moves on, the DAG files of the new commit are parsed in a process of their own, with the manifests
    and the configuration of that commit. If a file has an import error that the present commit has not, the bundle
    stays where it is, as a whole: its DAGs stay scheduled, and the error stands among Airflow's import errors
    under the file's name with the commit. A later commit that can be parsed, a revert included, ends that. The bad
    commit itself is tried again every ``recheck_seconds``: what it missed may be there by then.

    The last good commit is the one that is checked out or, where nothing is, the one that Airflow's database
    names for the bundle. The very first commit that a bundle sees is taken as it is.

    Args:
        check_timeout_seconds: How long all DAG files of a commit together may take to be parsed. The DAG processor
            waits for it.
        recheck_seconds: When a bad commit is tried again.
    """

    def __init__(self, *, check_timeout_seconds: float = 300, recheck_seconds: float = 300, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check_timeout_seconds = check_timeout_seconds
        self.recheck_seconds = recheck_seconds
        self._arguments = kwargs
        self._good: str | None = None
        self._rejected: RejectedCommit | None = None

    def _initialize(self) -> None:
        if not self.version and self.repo_path.is_dir():
            with Repo(self.repo_path) as repo:
                # What follows checks the tracked reference out, and a tag may lead to another commit by now.
                self._good = str(repo.head.commit.hexsha)
        super()._initialize()  # type: ignore[no-untyped-call]

    def refresh(self) -> None:
        """Fetch the branch, and move on to its commit if that is no worse than the present one.

        Raises:
            AirflowException: If the bundle is of one version.
        """
        if self.version:
            super().refresh()
        with self.lock():
            repo = Repo(self.repo_path)
            target = self._fetch(repo)
            good = self._good or self._deployed(repo)
            rejected = good is not None and target != good and self._is_rejected(target, good)
            if not rejected:
                good, self._rejected = target, None
                clear_import_errors(self.name)
            self._good = good
            repo.head.reset(str(good), index=True, working_tree=True)
            if self.submodules:
                with self._access():
                    self._fetch_submodules()
            repo.close()

    def _fetch(self, repo: Repo) -> str:
        """Fetch, and return the commit that the tracked reference leads to."""
        with self._access():
            self._fetch_bare_repo()  # type: ignore[no-untyped-call]
            repo.remotes.origin.fetch(["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"])
        branch = f"origin/{self.tracking_ref}"
        known = {ref.name for ref in repo.remotes.origin.refs}
        return str(repo.commit(branch if branch in known else self.tracking_ref).hexsha)

    def _access(self) -> AbstractContextManager[None]:
        return self.hook.configure_hook_env() if self.hook else nullcontext()

    def _deployed(self, repo: Repo) -> str | None:
        recorded = deployed_version(self.name)
        return recorded if recorded and self._has_version(repo, recorded) else None

    def _is_rejected(self, target: str, good: str) -> bool:
        """Whether a commit is worse than the good one; if so, the reasons are reported."""
        last = self._rejected
        if last is None or last.commit != target or time.monotonic() > last.checked_at + self.recheck_seconds:
            self._rejected = last = self._checked(target, good)
        if last is None:
            return False
        report_import_errors(self.name, bad=target, good=good, errors=last.errors)
        return True

    def _checked(self, target: str, good: str) -> RejectedCommit | None:
        errors = self._errors(target)
        if errors:
            # What is broken already does not keep a commit from repairing the rest.
            known = self._errors(good)
            errors = {file: text for file, text in errors.items() if file not in known}
        if not errors:
            return None
        log.warning("The bundle stays at its last good commit", bundle=self.name, bad=target, good=good)
        return RejectedCommit(target, errors, time.monotonic())

    def _errors(self, commit: str) -> dict[str, str]:
        version = GitDagBundle(**{**self._arguments, "version": commit})
        # The lock is one for all versions, and is held here.
        version._locked = True
        version.initialize()
        with BundleVersionLock(self.name, commit):  # type: ignore[no-untyped-call]
            return check_folder(version.path, self.name, timeout=self.check_timeout_seconds)
