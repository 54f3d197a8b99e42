import os
import shutil
from datetime import timedelta

import pytest
import yaml
from labs import ROOT, stores
from models_lab import MODEL, AirflowLab


@pytest.fixture(scope="session")
def database():
    """Airflow's database and ZenML's store; ZenML's client is built here, since two threads must not build it."""
    from zenml.client import Client

    stores.give_airflow(os.environ["AIRFLOW_HOME"])
    assert Client().active_project.name == "default"


@pytest.fixture(scope="session")
def api(database):
    """Airflow's API server with the plugins that are installed."""
    from airflow.api_fastapi.app import create_app, purge_cached_app
    from fastapi.testclient import TestClient

    with TestClient(create_app(apps="core"), base_url="http://localhost") as client:
        yield client
    purge_cached_app()


@pytest.fixture
def configured(tmp_path, monkeypatch):
    """Writes the configuration of a project whose model is the lab's; changes are merged into ``airflow``."""

    def write(**airflow):
        shutil.copytree(ROOT / "configs", tmp_path / "configs", dirs_exist_ok=True)
        base = tmp_path / "configs" / "base.yaml"
        content = yaml.safe_load(base.read_text())
        content["pipelines"]["batch_inference"]["model_name"] = MODEL
        content["airflow"]["models_page"] |= {"patience_seconds": 5, "fresh_seconds": 0} | airflow.pop("page", {})
        content["airflow"] |= airflow
        base.write_text(yaml.safe_dump(content))
        local = tmp_path / "configs" / "local.yaml"
        own = yaml.safe_load(local.read_text())
        # The replayed encounters end; the lab's days are yesterday and before.
        del own["airflow"]["schedules"]
        local.write_text(yaml.safe_dump(own))
        monkeypatch.setenv("MLOPS_PROJECT_ROOT", str(tmp_path))

    write()
    return write


@pytest.fixture
def airflow(api, configured):
    """Airflow's database, empty, and the page's own memory with it."""
    from zenml_airflow.models_page.page import registry

    registry.cache_clear()
    yield AirflowLab()
    registry.cache_clear()


@pytest.fixture
def login(api):
    """Headers of a user with a role, signed as Airflow signs them."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    def headers(role="viewer"):
        token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="ann", role=role))
        return {"Authorization": f"Bearer {token}"}

    return headers


@pytest.fixture
def yesterday():
    from airflow.sdk.timezone import utcnow

    return utcnow().date() - timedelta(days=1)


@pytest.fixture
def unreachable(monkeypatch):
    """Name of a connection to a ZenML server that is not there."""
    secret = "ZENKEY_a_secret_that_no_page_shows"
    monkeypatch.setitem(
        os.environ,
        "AIRFLOW_CONN_ZENML_GONE",
        f'{{"conn_type": "zenml", "host": "http://127.0.0.1:9", "password": "{secret}"}}',
    )
    return "zenml_gone", secret
