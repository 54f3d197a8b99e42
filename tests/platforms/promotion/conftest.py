import os
import socket
import uuid

import psycopg2
import pytest
from labs import kept_environment
from promotion_airflow import Lab

SERVER = "postgresql://postgres@127.0.0.1:5432/postgres"
"""SQLite lets one component write at a time; with dozens of tasks at once, requests time out."""

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


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return tuple(probe.getsockname()[1] for probe in probes)
    finally:
        for probe in probes:
            probe.close()


@pytest.fixture(scope="session")
def database():
    """A database of its own for Airflow's metadata."""
    try:
        connection = psycopg2.connect(SERVER)
    except psycopg2.OperationalError as error:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(f"PostgreSQL is required on its standard port: {error}")
        pytest.skip(f"no PostgreSQL on its standard port: {error}")
    connection.autocommit = True
    name = f"promotion_{uuid.uuid4().hex[:12]}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        yield SERVER.replace("postgresql://", "postgresql+psycopg2://").removesuffix("/postgres") + f"/{name}"
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
    connection.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory, database):
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
