"""Backup and restore of databases on servers, as docs/runbook.md says, on PostgreSQL and MariaDB."""

import json

import pytest
from book import Operator
from labs.checkout import make_checkout

pytestmark = [pytest.mark.timeout(1800)]

SECTION = "Databases on servers"
TAG = """
import json, sys
from zenml.client import Client
if sys.argv[1] == "make":
    Client().create_tag(name="kept")
print(json.dumps([tag.name for tag in Client().list_tags().items]))
"""


@pytest.fixture
def variables(tmp_path, postgres, mariadb):
    (tmp_path / "backup").mkdir()
    return {
        "BACKUP": tmp_path / "backup",
        "AIRFLOW_DATABASE_URL": f"postgresql://postgres@127.0.0.1:5432/{postgres[1]}",
        "ZENML_DATABASE": mariadb[1],
        "ZENML_DATABASE_HOST": "127.0.0.1",
        "ZENML_DATABASE_USER": mariadb[1],
        "MYSQL_PWD": mariadb[1],
        "MLOPS_AIRFLOW_DATABASE": f"postgresql+psycopg2://postgres@127.0.0.1:5432/{postgres[1]}",
        "ZENML_STORE_URL": f"mysql://{mariadb[1]}:{mariadb[1]}@127.0.0.1:3306/{mariadb[1]}",
    }


def test_dump_and_load(tmp_path, variables, postgres, mariadb):
    checkout = make_checkout(tmp_path / "state")
    checkout.mlops("config", "show")
    operator = Operator(checkout.environment)

    def shell(script):
        return operator.shell(f'eval "$(mlops env)"\n{script}', **variables).stdout

    def tags(action):
        return json.loads(shell(f"python -c '{TAG}' {action}").strip().splitlines()[-1])

    shell("airflow db migrate\nairflow connections add probe --conn-type generic --conn-password hidden")
    assert tags("make") == ["kept"]
    operator.follow(SECTION, 0, **variables)

    (pg, pg_name), (maria, maria_name) = postgres, mariadb
    pg.execute(f"DROP DATABASE {pg_name} WITH (FORCE)")
    pg.execute(f"CREATE DATABASE {pg_name}")
    maria.execute(f"DROP DATABASE {maria_name}")
    maria.execute(f"CREATE DATABASE {maria_name}")
    operator.follow(SECTION, 1, **variables)
    assert "hidden" in shell("airflow db check-migrations\nairflow connections get probe --output json")
    assert tags("list") == ["kept"]
