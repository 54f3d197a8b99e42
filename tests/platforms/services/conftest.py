import os

import pytest
from labs import kept_environment
from labs.databases import MissingServiceError
from labs.platform_lab import BUCKET, FIRST, LAST, running_platform
from labs.zenml_server import NoServerError


@pytest.fixture(scope="session")
def platform(tmp_path_factory):
    """All services, the pipelines deployed, the data landed; run once for this folder."""
    try:
        with kept_environment(), running_platform(tmp_path_factory.mktemp("services")) as made:
            made.mlops("data", "fetch", "--source", "synthetic", "--rows", 20_000)
            made.s3.put(str(made.root / "state" / "raw"), f"{BUCKET}/state/raw", recursive=True)
            made.mlops("data", "feed", "--from", FIRST, "--to", LAST)
            made.mlops("deploy")
            made.start_airflow()
            made.connect()
            yield made
    except (MissingServiceError, NoServerError) as reason:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(str(reason))
