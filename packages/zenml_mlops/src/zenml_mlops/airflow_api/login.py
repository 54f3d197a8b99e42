"""Where an environment's Airflow answers, and how a command logs in to it."""

from __future__ import annotations

import os
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx

from zenml_airflow.settings.project import Settings
from zenml_mlops.environment.process import HOST, admin_password

URL_ENV = "MLOPS_AIRFLOW_URL"
USER_ENV = "MLOPS_AIRFLOW_USER"
PASSWORD_ENV = "MLOPS_AIRFLOW_PASSWORD"  # noqa: S105 - the name of a variable
TOKEN_ENV = "MLOPS_AIRFLOW_TOKEN"  # noqa: S105


class AirflowApiError(RuntimeError):
    """Airflow refused a request, or a run did not end as it should."""


def airflow_url(settings: Settings) -> str:
    """Address of the environment's Airflow: of the local service, unless a variable names another.

    Raises:
        AirflowApiError: If the variable is no http(s) address, or would send a password over a network in clear.
    """
    named = os.environ.get(URL_ENV, "").rstrip("/")
    if not named:
        return f"http://{HOST}:{settings.services.airflow_port}"
    parts = urlsplit(named)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise AirflowApiError(f"{URL_ENV} must be an address such as https://airflow.example.com.")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise AirflowApiError(
            f"{URL_ENV} must begin with https://: a password would cross the network unencrypted."
        )
    return named


def login(settings: Settings, base_url: str) -> dict[str, str]:
    """The header that authorises requests: with the token that a variable holds, or one for a user's password.

    Raises:
        AirflowApiError: If Airflow does not answer or refuses the login, or has no credentials.
    """
    token = os.environ.get(TOKEN_ENV)
    if not token:
        user, password = _credentials(settings)
        token = _token_for(base_url, user, password)
    return {"Authorization": f"Bearer {token}"}


def _credentials(settings: Settings) -> tuple[str, str]:
    user, password = os.environ.get(USER_ENV), os.environ.get(PASSWORD_ENV)
    if user and password:
        return user, password
    if os.environ.get(URL_ENV):
        raise AirflowApiError(
            f"{URL_ENV} names an Airflow, but has no credentials: set {TOKEN_ENV}, or {USER_ENV} and "
            f"{PASSWORD_ENV}."
        )
    found = admin_password(settings)
    if found is None:
        raise AirflowApiError("Airflow has not been started in this folder yet: run `make up`.")
    return "admin", found


def _token_for(base_url: str, user: str, password: str) -> str:
    try:
        response = httpx.post(f"{base_url}/auth/token", json={"username": user, "password": password}, timeout=60)
    except httpx.HTTPError as error:
        way_out = f"is {URL_ENV} right?" if os.environ.get(URL_ENV) else "run `make up`."
        raise AirflowApiError(f"Airflow does not answer at {base_url}: {way_out} ({error})") from error
    if response.status_code >= httpx.codes.BAD_REQUEST:
        raise AirflowApiError(f"Airflow at {base_url} refused the login: {response.text[:200]}")
    return str(response.json()["access_token"])


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
