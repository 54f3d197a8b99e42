import os
import uuid

import pytest
from gitops_lab import running_lab
from labs import kept_environment
from labs.databases import MissingServiceError


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """Airflow with the first version deployed, all DAGs on."""
    try:
        with kept_environment(), running_lab(tmp_path_factory.mktemp("gitops"), uuid.uuid4().hex[:10]) as made:
            made.code = made.commit("version 1")
            made.first = made.deploy()
            made.deployed = made.commit("deploy version 1")
            made.push()
            made.start()
            made.connect()
            for dag_id in ("probe", "beat", "stock_beat", "stock_flight"):
                made.wait_version(made.deployed, dag_id)
            made.api.unpause("probe")
            made.api.unpause("stock_flight")
            yield made
    except MissingServiceError as reason:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(str(reason))
