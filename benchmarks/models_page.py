"""How long the page "Models" takes with few versions of a model and with many, in Airflow's own API server.

Usage: ``python -m benchmarks.models_page``. Everything lies in a temporary folder. The requests go through the
whole application, login included, and not through a network.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from statistics import median, quantiles
from typing import Any

FEW, MANY = 10, 1000
LOADS = 30
DAYS = 30
DAG_ID, PAGE = "page_lab_scoring", "/zenml-models/"


def insert_versions(model: str, count: int) -> None:
    """Give a model in ZenML's local store more versions, all at once: one by one, a thousand take minutes."""
    from sqlmodel import Session
    from zenml.client import Client
    from zenml.zen_stores.schemas import ModelVersionSchema

    client = Client()
    try:
        found = client.get_model(model)
    except KeyError:
        found = client.create_model(name=model)
    first = client.list_model_versions(model=found.id, size=1).total + 1
    with Session(client.zen_store.engine) as session:
        for number in range(first, first + count):
            session.add(
                ModelVersionSchema(
                    id=uuid.uuid4(),
                    name=str(number),
                    number=number,
                    model_id=found.id,
                    project_id=client.active_project.id,
                    user_id=client.active_user.id,
                    producer_run_id_if_numeric=uuid.uuid4(),
                )
            )
        session.commit()


def _promote(model: str, number: int) -> None:
    """Put a version into production, with a report of as many gates as the shipped configuration has."""
    from zenml.client import Client
    from zenml.enums import MetadataResourceTypes
    from zenml.models import RunMetadataResource

    client = Client()
    version = client.get_model_version(model, str(number))
    verdicts = [{"gate": f"gate_{n}", "passed": True, "evidence": "a sentence " * 10} for n in range(34)]
    client.create_run_metadata(
        metadata={"gates": {"passed": True, "verdicts": verdicts}},
        resources=[RunMetadataResource(id=version.id, type=MetadataResourceTypes.MODEL_VERSION)],
    )
    client.update_model_version(model, version.id, stage="production", force=True)


def _airflow_history(last: Any) -> None:
    from airflow.models.dag import DagModel, DagTag
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunType

    from zenml_airflow.manifest.manifest import pipeline_tag

    tag = DagTag(name=pipeline_tag("batch_inference"), dag_id=DAG_ID)
    with create_session() as session:
        session.merge(DagBundleModel(name="lab"))
        session.flush()
        where = {"bundle_name": "lab", "fileloc": "/lab.py", "relative_fileloc": "lab.py"}
        session.add(DagModel(dag_id=DAG_ID, is_stale=False, is_paused=False, tags=[tag], **where))
        session.flush()
        for back in range(DAYS):
            day = last - timedelta(days=back)
            session.add(
                DagRun(
                    dag_id=DAG_ID,
                    run_id=f"day-{back}",
                    logical_date=day,
                    run_after=day + timedelta(days=1),
                    state=DagRunState.SUCCESS,
                    run_type=DagRunType.MANUAL,
                )
            )


def _timed(load: Callable[[], str], count: int) -> list[float]:
    taken = []
    for _ in range(count):
        begun = time.perf_counter()
        load()
        taken.append((time.perf_counter() - begun) * 1000)
    return taken


def _print(what: str, taken: list[float]) -> None:
    sys.stdout.write(f"{what:<44} {median(taken):8.0f} {quantiles(taken, n=20)[-1]:8.0f} {max(taken):8.0f}\n")


def measure() -> None:
    """Measure and print, in the folder that the environment names."""
    from zenml_mlops.environment.process import enter

    settings = enter("local")
    from airflow.api_fastapi.app import create_app, get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.utils.db import initdb
    from fastapi.testclient import TestClient

    from zenml_airflow.client.cached import BackgroundCache
    from zenml_airflow.models_page.page import page as models_page

    initdb()
    end = settings.schedule("batch_inference").end_date
    assert end is not None
    _airflow_history(datetime(end.year, end.month, end.day, tzinfo=UTC))
    model = str(settings.pipelines["batch_inference"]["model_name"])
    with TestClient(create_app(apps="core"), base_url="http://localhost") as api:
        token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="ann", role="viewer"))

        def load() -> str:
            answer = api.get(PAGE, headers={"Authorization": f"Bearer {token}"})
            answer.raise_for_status()
            return answer.text

        sys.stdout.write(f"{'milliseconds, n = ' + str(LOADS):<44} {'median':>8} {'p95':>8} {'max':>8}\n")
        (first,) = _timed(load, 1)
        sys.stdout.write(f"{'the very first, which begins to import ZenML':<44} {first:8.0f}\n")
        # That reading goes on, and has the local store's database made.
        models_page.registry().get(120)
        known = 0
        for count in (FEW, MANY):
            insert_versions(model, count - known)
            if not known:
                _promote(model, 1)
            known = count
            for fresh_seconds, what in ((0, "ZenML asked each time"), (3600, "ZenML asked a while ago")):
                registry = BackgroundCache(models_page._read_registry, fresh_seconds)
                models_page.registry.cache_clear()
                models_page.registry = cache(lambda registry=registry: registry)
                registry.get(60)
                assert f"version {count}<" in load()
                _print(f"{count} versions, {what}", _timed(load, LOADS))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="models-page-") as folder:
        os.environ["MLOPS_STATE_DIR"] = folder
        measure()
