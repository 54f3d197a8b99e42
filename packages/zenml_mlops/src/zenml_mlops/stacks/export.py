"""What a stack file says, for people and for Airflow."""

from __future__ import annotations

import json
from typing import Any

import yaml

from zenml_mlops.stacks.documents import Document
from zenml_mlops.stacks.schema import GitBundle, LocalBundle, StackFile


def as_yaml(document: Document) -> str:
    """The file with everything it extends filled in, and its references as they are."""
    return yaml.safe_dump(document.content, sort_keys=True)


def airflow_variables(file: StackFile, dags_dir: str) -> dict[str, str]:
    """Airflow's own configuration for the environment, as variables; none holds a credential.

    Args:
        dags_dir: Folder of the DAG files for a local bundle.
    """
    return {
        "AIRFLOW__CORE__EXECUTOR": file.airflow.executor.value,
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": bundle_list(file.airflow.bundle, dags_dir),
        "AIRFLOW__OPERATORS__DEFAULT_QUEUE": file.airflow.queues[0],
        "MLOPS_ENV": file.name,
    }


def bundle_list(bundle: LocalBundle | GitBundle, dags_dir: str) -> str:
    """Airflow's ``dag_bundle_config_list`` for a bundle.

    Args:
        dags_dir: Folder of the DAG files for a local bundle.
    """
    kwargs: dict[str, Any]
    if isinstance(bundle, GitBundle):
        classpath = "zenml_airflow.bundles.git.CheckedGitDagBundle"
        kwargs = {
            "tracking_ref": bundle.tracking_ref,
            "subdir": bundle.subdir,
            "git_conn_id": bundle.connection,
            "refresh_interval": bundle.refresh_seconds,
        }
    else:
        classpath = "airflow.dag_processing.bundles.local.LocalDagBundle"
        kwargs = {"path": dags_dir, "refresh_interval": bundle.refresh_seconds}
    return json.dumps([{"name": "dags", "classpath": classpath, "kwargs": kwargs}])


def airflow_pools(file: StackFile) -> str:
    """The pools as ``airflow pools import`` reads them."""
    pools = {
        name: {"slots": pool.slots, "description": pool.description, "include_deferred": False}
        for name, pool in file.airflow.pools.items()
    }
    return json.dumps(pools, indent=2, sort_keys=True) + "\n"
