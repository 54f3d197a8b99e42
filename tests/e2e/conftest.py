import pytest
from checkout import REAL_DATA, make_checkout


@pytest.fixture(scope="package")
def main_job(tmp_path_factory):
    """The main job, run once for this folder; services stay up for its tests."""
    checkout = make_checkout(tmp_path_factory.mktemp("main-job") / "state")
    source = str(REAL_DATA) if REAL_DATA.is_file() else "synthetic"
    result = checkout.mlops("demo", "--source", source)
    checkout.output = result.stdout
    yield checkout
    checkout.mlops("down")
    assert checkout.processes() == []
