import os

import pytest
from airflow_pages import opened
from promotion_lab import running_lab

from zenml_mlops.cli.chromium import NoBrowserError, find_chromium


@pytest.fixture(scope="session")
def chromium():
    """A browser, before minutes are spent on what it would look at."""
    try:
        return find_chromium()
    except NoBrowserError as reason:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def lab(tmp_path_factory, chromium):
    """Airflow with a version in production, days to score, and a pipeline that trains worse and better ones.

    The modules are one story, in the order of their names.
    """
    with pytest.MonkeyPatch.context() as patch, running_lab(tmp_path_factory.mktemp("promotion")) as made:
        made.connect(patch)
        yield made


@pytest.fixture(scope="module")
def pages(lab, tmp_path_factory):
    """Airflow's UI in a browser, with the local admin logged in."""
    with opened(lab.api.base_url, "admin", lab.password, tmp_path_factory.mktemp("profile")) as window:
        yield window
