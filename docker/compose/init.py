"""Bring the services of the compose file into the state that Airflow needs. Running it again changes nothing.

It migrates Airflow's database, checks out the code at the deployed branch, gives Airflow a service account on the
ZenML server, keeps the logins of the other services in ZenML's secret store, applies the stacks and deploys the
pipelines.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx

REPOSITORY = "/srv/dags.git"
CHECKOUT = Path(os.environ["MLOPS_PROJECT_ROOT"])
SERVER = os.environ["ZENML_SERVER_URL"]
CONNECTION = "zenml_compose"
ACCOUNT = "airflow"
KEY = "compose"
STORE_HOST, STORE_PORT, BUCKET = "s3", 9000, "zenml"


def main() -> None:
    """Do each step that is not done."""
    _run("airflow", "db", "migrate")
    _check_out(os.environ["DAGS_REF"])
    key = _stored_key()
    if key is None or not _works(key):
        key = _new_key()
        _store_key(key)
    _keep_secrets(key)
    _make_bucket()
    own = {"ZENML_STORE_URL": SERVER, "ZENML_STORE_API_KEY": key, "PYTHONPATH": str(CHECKOUT)}
    _run("mlops", "deploy", "--env", os.environ["MLOPS_ENV"], **own)


def _run(*command: str, **variables: str) -> str:
    result = subprocess.run(
        command, env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True, check=False
    )
    if result.returncode:
        sys.stdout.write(result.stdout)
        raise SystemExit(f"`{' '.join(command[:3])}` failed with exit code {result.returncode}.")
    return result.stdout


def _check_out(ref: str) -> None:
    if not (CHECKOUT / ".git").is_dir():
        _run("git", "clone", "--quiet", "--no-checkout", REPOSITORY, str(CHECKOUT))
    git = ("git", "-C", str(CHECKOUT))
    _run(*git, "fetch", "--quiet", "origin", ref)
    _run(*git, "checkout", "--quiet", "--force", "--detach", "FETCH_HEAD")
    _say(f"checked out {ref} at {_run(*git, 'rev-parse', 'HEAD').strip()}")


def _stored_key() -> str | None:
    found = subprocess.run(
        ["airflow", "connections", "get", CONNECTION, "--output", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    if found.returncode:
        return None
    return json.loads(found.stdout)[0]["password"]


def _works(key: str) -> bool:
    login = {"grant_type": "zenml-api-key", "password": key}
    return httpx.post(f"{SERVER}/api/v1/login", data=login, timeout=30).is_success


def _new_key() -> str:
    """A fresh API key of Airflow's service account; one that nobody knows any more is replaced."""
    with httpx.Client(base_url=f"{SERVER}/api/v1", timeout=60) as admin:
        login = {"grant_type": "password", "username": "admin", "password": os.environ["ZENML_ADMIN_PASSWORD"]}
        answer = admin.post("/login", data=login).raise_for_status()
        admin.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        accounts = admin.get("/service_accounts", params={"name": ACCOUNT}).raise_for_status().json()["items"]
        account = accounts[0] if accounts else _post(admin, "/service_accounts", name=ACCOUNT, active=True)
        keys = f"/service_accounts/{account['id']}/api_keys"
        known = admin.get(keys, params={"name": KEY}).raise_for_status().json()["items"]
        if known:
            made = admin.put(f"{keys}/{known[0]['id']}/rotate", json={}).raise_for_status().json()
        else:
            made = _post(admin, keys, name=KEY)
    _say(f"{'rotated' if known else 'created'} the API key of service account {ACCOUNT}")
    return made["body"]["key"]


def _post(client: httpx.Client, path: str, **content: object) -> dict:
    return client.post(path, json=content).raise_for_status().json()


def _store_key(key: str) -> None:
    """Write the connection through Airflow's own models: on a command line others would see the key."""
    from airflow.models.connection import Connection
    from airflow.utils.session import create_session

    wanted = {"conn_id": CONNECTION, "conn_type": "zenml", "host": SERVER, "password": key}
    with create_session() as session:
        session.query(Connection).filter(Connection.conn_id == CONNECTION).delete()
        session.add(Connection(**wanted))
    _say(f"stored connection {CONNECTION}")


def _keep_secrets(key: str) -> None:
    """Keep what the stack refers to in ZenML's secret store: the logins of MLflow and of the S3 store."""
    wanted = {
        "mlflow": {"username": "admin", "password": os.environ["MLFLOW_TRACKING_PASSWORD"]},
        "s3": {"key": os.environ["S3_ACCESS_KEY"], "secret": os.environ["S3_SECRET_KEY"]},
    }
    with httpx.Client(base_url=f"{SERVER}/api/v1", timeout=60) as client:
        token = client.post("/login", data={"grant_type": "zenml-api-key", "password": key}).raise_for_status()
        client.headers["Authorization"] = f"Bearer {token.json()['access_token']}"
        for name, values in wanted.items():
            found = client.get("/secrets", params={"name": name}).raise_for_status().json()["items"]
            if found:
                client.put(f"/secrets/{found[0]['id']}", json={"values": values}).raise_for_status()
            else:
                _post(client, "/secrets", name=name, values=values)


def _make_bucket() -> None:
    """Make the bucket of the S3-compatible store; without its profile there is no such host."""
    try:
        socket.getaddrinfo(STORE_HOST, STORE_PORT)
    except socket.gaierror:
        return
    import s3fs

    store = s3fs.S3FileSystem(
        key=os.environ["S3_ACCESS_KEY"],
        secret=os.environ["S3_SECRET_KEY"],
        endpoint_url=f"http://{STORE_HOST}:{STORE_PORT}",
    )
    if not store.exists(BUCKET):
        store.mkdir(BUCKET)
        _say(f"created bucket {BUCKET}")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
