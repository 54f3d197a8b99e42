import os
import uuid
from datetime import date

import psycopg2
import pymysql
import pytest
from book import Operator
from labs.checkout import make_checkout

from zenml_airflow.settings.project import load_settings
from zenml_mlops.airflow_api.api import AirflowApi

FIRST, LAST = date(2026, 1, 5), date(2026, 1, 10)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Services up, a version in production, six days landed, none of them scored."""
    made = make_checkout(tmp_path_factory.mktemp("runbook") / "state")
    try:
        made.mlops("data", "fetch", "--source", "synthetic", "--rows", "20000")
        made.mlops("data", "feed", "--from", FIRST, "--to", LAST)
        made.mlops("run", "training")
        made.mlops("promote", "readmission_risk")
        made.mlops("up")
        yield made
    finally:
        made.mlops("down")
    assert made.processes() == []


@pytest.fixture(scope="module")
def operator(checkout):
    return Operator(checkout.environment)


@pytest.fixture(scope="module")
def settings(checkout):
    with pytest.MonkeyPatch.context() as patch:
        for key, value in checkout.environment.items():
            if key.startswith("MLOPS_"):
                patch.setenv(key, value)
        yield load_settings("local")


@pytest.fixture
def api(settings):
    """A new login each time: a procedure may have restarted Airflow or changed the password."""
    return AirflowApi(settings)


def absent(name, error):
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(f"{name} is required on its standard port: {error}")
    pytest.skip(f"no {name} on its standard port: {error}")


@pytest.fixture(scope="module")
def postgres():
    """A connection to PostgreSQL and the name of a database of its own."""
    try:
        connection = psycopg2.connect("postgresql://postgres@127.0.0.1:5432/postgres")
    except psycopg2.OperationalError as error:
        absent("PostgreSQL", error)
    connection.autocommit = True
    name = f"runbook_{uuid.uuid4().hex[:12]}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        yield cursor, name
        cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    connection.close()


@pytest.fixture(scope="module")
def mariadb():
    """A connection to MariaDB and the name of a database of its own, and of its user, password the same."""
    try:
        connection = pymysql.connect(host="127.0.0.1", user="root", autocommit=True)
    except pymysql.err.OperationalError as error:
        absent("MariaDB", error)
    name = f"runbook_{uuid.uuid4().hex[:12]}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        cursor.execute(f"CREATE USER '{name}'@'127.0.0.1' IDENTIFIED BY '{name}'")
        cursor.execute(f"GRANT ALL ON {name}.* TO '{name}'@'127.0.0.1'")
        yield cursor, name
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"DROP USER IF EXISTS '{name}'@'127.0.0.1'")
    connection.close()
