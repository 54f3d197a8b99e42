import pytest
from labs import ROOT, free_ports, kept_environment
from labs.databases import database  # noqa: F401 - a fixture
from labs.probe_lab import COMBINATIONS, Lab, played
from labs.probe_rows import ALL_COMBINATIONS, Row, Seen, render
from labs.probe_rows import undocumented as missing_in
from labs.zenml_server import zenml_server  # noqa: F401 - a fixture

DOCUMENT = ROOT / "docs" / "state-semantics.md"


def pytest_addoption(parser):
    parser.addoption("--write-state-semantics", action="store_true", help="Write docs/state-semantics.md anew.")


@pytest.fixture(scope="session")
def lab(tmp_path_factory, database):  # noqa: F811
    made = Lab(tmp_path_factory.mktemp("conformance"), free_ports(2), database)
    with kept_environment():
        try:
            made.deploy()
            made.start()
            made.connect()
            yield made
        finally:
            made.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    made = item.funcargs.get("lab")
    if call.when == "call" and report.failed and made and made.asked:
        # An error here would end the whole session: it is told in place of the account.
        told = pytest.CallInfo.from_call(made.account, "call")
        said = str(told.excinfo.value) if told.excinfo else told.result
        report.sections.append(("the run that was asked for last", said))
    return report


@pytest.fixture(scope="session")
def observed():
    return {row: {} for row in Row}


@pytest.fixture
def record(observed):
    def write(row, combination, *, airflow, zenml, data):
        observed[row][combination] = Seen(airflow, zenml, data)

    return write


@pytest.fixture
def undocumented(observed, request):
    """What was observed and the document does not say; it is written first where that is asked for."""
    if any(set(found) != set(played(row)) for row, found in observed.items()):
        pytest.fail(
            "not every row was observed for every combination that it is played with: see the failures above"
        )
    complete = COMBINATIONS == ALL_COMBINATIONS
    if request.config.getoption("--write-state-semantics"):
        assert complete, "the document is written from all combinations"
        DOCUMENT.write_text(render(observed, ALL_COMBINATIONS))
    documented = DOCUMENT.read_text()
    if complete:
        return "" if documented == render(observed, ALL_COMBINATIONS) else render(observed, ALL_COMBINATIONS)
    return missing_in(observed, documented)
