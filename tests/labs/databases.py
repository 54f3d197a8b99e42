"""Databases of their own in the services of this machine."""

import os
import uuid
from contextlib import contextmanager

import psycopg2
import pytest

POSTGRES = "postgresql://postgres@127.0.0.1:5432"


class MissingServiceError(RuntimeError):
    """A service that this machine must offer does not answer."""


@contextmanager
def postgres(name):
    try:
        connection = psycopg2.connect(f"{POSTGRES}/postgres")
    except psycopg2.OperationalError as error:
        raise MissingServiceError(f"PostgreSQL on its standard port: {error}") from error
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{POSTGRES}/{name}"
        finally:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
            connection.close()


@pytest.fixture(scope="session")
def database():
    """A database for Airflow's metadata.

    SQLite lets one component write at a time; with dozens of tasks at once, requests time out.
    """
    try:
        with postgres(f"tests_{uuid.uuid4().hex[:12]}") as url:
            yield url.replace("postgresql://", "postgresql+psycopg2://")
    except MissingServiceError as reason:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(str(reason))
