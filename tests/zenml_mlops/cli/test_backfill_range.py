"""What ``mlops backfill`` refuses before it asks Airflow, and to whom it gives a password."""

import os
from datetime import date
from unittest import mock

import pytest
from typer.testing import CliRunner

from zenml_airflow.settings.project import load_settings
from zenml_mlops.airflow_api.login import AirflowApiError, airflow_url, login
from zenml_mlops.cli.app import app
from zenml_mlops.cli.backfill import BackfillRangeError, DayRange, checked_range

TODAY = date(2026, 2, 1)


@pytest.fixture(autouse=True)
def own_environment():
    """A command points its process at the state folder: here that is the process of the tests."""
    with mock.patch.dict(os.environ):
        yield


def check(first, last, longest=31):
    return checked_range(date.fromisoformat(first), date.fromisoformat(last), today=TODAY, longest=longest)


@pytest.mark.parametrize(
    ("first", "last", "days"),
    [("2026-01-05", "2026-01-05", 1), ("2026-01-01", "2026-01-31", 31), ("2025-12-31", "2026-01-01", 2)],
)
def test_days_that_are_over_are_taken(first, last, days):
    found = check(first, last)
    assert isinstance(found, DayRange)
    assert found.days == days


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        ("2026-01-06", "2026-01-05", "--from 2026-01-06 lies after --to 2026-01-05"),
        ("2026-01-30", "2026-02-01", "--to 2026-02-01 is not over: 2026-01-31 is the last day"),
        ("2025-12-31", "2026-01-31", "32 days are more than"),
    ],
)
def test_another_range_is_refused(first, last, message):
    with pytest.raises(BackfillRangeError, match=message):
        check(first, last)


def test_every_problem_is_listed_at_once():
    with pytest.raises(BackfillRangeError, match=r"is not over.*; 428 days are more than"):
        check("2026-01-01", "2027-03-04")


@pytest.mark.parametrize("day", ["2026-1-x", "yesterday", "$(reboot)", "2026-02-30"])
def test_what_is_no_day_is_a_usage_error(day):
    result = CliRunner().invoke(app, ["backfill", "x", "--from", day, "--to", "2026-01-05"])
    assert result.exit_code == 2


def test_the_longest_range_is_configured(monkeypatch):
    settings = load_settings("local")
    result = CliRunner().invoke(app, ["backfill", "x", "--from", "2024-01-01", "--to", "2026-01-05"])
    assert result.exit_code == 1
    assert f"allows, {settings.airflow.backfill_days}" in result.output.replace("\n", " ")


@pytest.fixture
def settings():
    return load_settings("local")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://airflow.example.com", "must begin with https://"),
        ("airflow.example.com", "must be an address"),
        ("ftp://airflow.example.com", "must be an address"),
        ("https://", "must be an address"),
        ("https://user:pass@airflow.example.com", "must be an address"),
    ],
)
def test_no_password_goes_to_an_address_that_is_none_or_in_clear(settings, monkeypatch, url, message):
    monkeypatch.setenv("MLOPS_AIRFLOW_URL", url)
    with pytest.raises(AirflowApiError, match=message):
        airflow_url(settings)


def test_where_airflow_answers(settings, monkeypatch):
    assert airflow_url(settings) == f"http://127.0.0.1:{settings.services.airflow_port}"
    for url in ("https://airflow.example.com/team", "http://127.0.0.1:9", "http://localhost:9"):
        monkeypatch.setenv("MLOPS_AIRFLOW_URL", url + "/")
        assert airflow_url(settings) == url


def test_the_local_password_never_goes_to_another_airflow(settings, monkeypatch):
    monkeypatch.setenv("MLOPS_AIRFLOW_URL", "https://airflow.example.com")
    with pytest.raises(AirflowApiError, match="has no credentials"):
        login(settings, airflow_url(settings))
    monkeypatch.setenv("MLOPS_AIRFLOW_TOKEN", "given")
    assert login(settings, airflow_url(settings)) == {"Authorization": "Bearer given"}


def test_an_airflow_that_does_not_answer_is_named(settings, monkeypatch):
    for name, value in {"URL": "http://127.0.0.1:9", "USER": "u", "PASSWORD": "p"}.items():
        monkeypatch.setenv(f"MLOPS_AIRFLOW_{name}", value)
    with pytest.raises(
        AirflowApiError, match=r"does not answer at http://127.0.0.1:9: is MLOPS_AIRFLOW_URL right"
    ):
        login(settings, airflow_url(settings))
