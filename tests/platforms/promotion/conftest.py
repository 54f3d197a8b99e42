import pytest
from labs import free_ports, kept_environment
from labs.databases import database  # noqa: F401 - a fixture
from promotion_airflow import Lab

PATIENT = (
    "approved",
    "turned_down",
    "no_reason",
    "moved",
    "second",
    "outsider",
    "worse",
    "named",
)
"""Stories in which a person answers in time, or is not asked."""


@pytest.fixture(scope="session")
def lab(tmp_path_factory, database):  # noqa: F811
    """Airflow with every story begun: a version in production but where none is needed, and a candidate."""
    made = Lab(tmp_path_factory.mktemp("promotion"), free_ports(2), database)
    with kept_environment():
        try:
            for story in PATIENT:
                made.add_story(story)
            made.add_story("impatient", response_timeout=30)
            made.start()
            for story in (*PATIENT, "impatient"):
                made.ask("make", story, *_versions(story))
                if story != "named":
                    made.ask("promote", story, 1)
            made.connect((*PATIENT, "impatient"))
            made.crowd = made.api.trigger("crowd")
            for story in (*PATIENT, "impatient"):
                made.api.unpause(story)
            made.registered()
            yield made
        finally:
            made.stop()


def _versions(story):
    return {"worse": ("no champion", "worse"), "named": ("no gates",)}.get(story, ("no champion", "better"))
