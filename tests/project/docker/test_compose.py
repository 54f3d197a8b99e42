"""What the compose file says, without an engine."""

import os
import re
import shutil
import stat
import subprocess
import sys

import pytest
import yaml
from labs import ROOT

COMPOSE_FILE = ROOT / "docker-compose.yml"
TEXT = COMPOSE_FILE.read_text()
MODEL = yaml.safe_load(TEXT)
SERVICES = MODEL["services"]
SECRETS = ROOT / "docker" / "compose" / "generate_secrets.py"
ENTRYPOINT = ROOT / "docker" / "entrypoint.py"


def test_the_services_of_the_platform_are_there():
    assert {
        *("postgres", "mariadb", "redis", "zenml-server", "mlflow", "init"),
        *("api-server", "scheduler", "dag-processor", "triggerer", "worker"),
        *("s3", "statsd-exporter", "prometheus", "mlops"),
    } == set(SERVICES)
    assert SERVICES["worker"]["scale"] == 2
    assert SERVICES["s3"]["profiles"] == ["s3"]
    assert SERVICES["mlops"]["profiles"] == ["tools"]
    assert {SERVICES[name]["profiles"][0] for name in ("prometheus", "statsd-exporter")} == {"monitoring"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_locked_down(name):
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert service["mem_limit"]
    assert service["cpus"] > 0
    assert service["pids_limit"] > 0
    assert service["healthcheck"]["test"]
    assert "network_mode" not in service
    if not service["image"].startswith("zenml-on-airflow/"):
        assert service.get("user") not in {None, "root", "0"}, "an image of others runs as the user that is named"
    for volume in service.get("volumes", []):
        assert "docker.sock" not in volume
        source = volume.split(":")[0] if not volume.startswith("${") else "./"
        if source.startswith((".", "/")):
            assert volume.endswith(":ro"), f"{volume} can be written"
        else:
            assert source in MODEL["volumes"], f"{source} is no named volume"


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_on_loopback_only(name):
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\$\{[A-Z0-9_]+:-\d+\}:\d+", port), port


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_what_is_healthy(name):
    for needed, how in SERVICES[name].get("depends_on", {}).items():
        wanted = "service_completed_successfully" if needed == "init" else "service_healthy"
        assert how == {"condition": wanted}


def values(service):
    return [str(value) for value in service.get("environment", {}).values()]


@pytest.mark.parametrize("name", SERVICES)
def test_secrets_are_files_and_each_one_used_is_mounted(name):
    service = SERVICES[name]
    mounted = set(service.get("secrets", []))
    assert mounted <= set(MODEL["secrets"])
    text = " ".join([*values(service), str(service.get("command", "")), str(service["healthcheck"]["test"])])
    used = set(re.findall(r"\{secret:([a-z0-9_]+)\}", text)) | set(re.findall(r"/run/secrets/([a-z0-9_]+)", text))
    assert used <= mounted
    for key, value in service.get("environment", {}).items():
        if re.search(r"PASSWORD|SECRET|FERNET|ACCESS_KEY|SQL_ALCHEMY_CONN|BROKER_URL|STORE_URL", key) and (
            "PASSWORDS_FILE" not in key
        ):
            assert "{secret:" in value or value.startswith("/run/secrets/"), f"{key} stands in clear"


def test_every_secret_is_used():
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert used == set(MODEL["secrets"])


def test_images_of_others_are_pinned_and_a_digest_fits_in():
    for name, service in SERVICES.items():
        image = service["image"]
        if not image.startswith("zenml-on-airflow/"):
            assert re.fullmatch(r"\$\{[A-Z0-9_]+_IMAGE:-[a-z0-9/-]+:[\w.-]+\}", image), f"{name}: {image}"
            assert not image.endswith(":latest}")


def test_the_example_environment_is_complete():
    used = set(re.findall(r"\$\{([A-Z0-9_]+)", TEXT))
    example = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert set(example) == used
    assert not [name for name in example if re.search("PASSWORD|SECRET_KEY|TOKEN", name)]
    for name, default in re.findall(r"\$\{([A-Z0-9_]+):-([^}]*)\}", TEXT):
        assert example[name] == default, f"{name} has two defaults"


def test_the_environment_of_the_compose_file_loads():
    code = "from zenml_airflow.settings.project import load_settings as l; print(l('compose').airflow.connection)"
    environment = {**os.environ, "MLOPS_PROJECT_ROOT": str(ROOT)}
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "zenml_compose"
    init = (ROOT / "docker" / "compose" / "init.py").read_text()
    assert f'CONNECTION = "{found.stdout.strip()}"' in init


def secrets_tool(*arguments):
    return subprocess.run([sys.executable, str(SECRETS), *arguments], capture_output=True, text=True, check=False)


def test_secrets_are_generated_once_and_a_missing_one_stops_with_its_name(tmp_path):
    folder = tmp_path / "secrets"
    assert secrets_tool("generate", str(folder)).returncode == 0
    made = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(made) == set(MODEL["secrets"])
    assert len(set(made.values())) == len(made), "two secrets are the same"
    assert all(len(content) >= 44 for content in made.values())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    from cryptography.fernet import Fernet

    Fernet(made["airflow_fernet_key"])

    (folder / "redis_password").unlink()
    (folder / "mlflow_db_password").chmod(0o644)
    (folder / "mlflow_db_password").write_text("\n")
    refused = secrets_tool("check", str(folder))
    assert refused.returncode != 0
    assert "mlflow_db_password, redis_password" in refused.stderr
    secrets_tool("generate", str(folder))
    kept = {path.name: path.read_text() for path in folder.iterdir()}
    assert {name for name in made if kept[name] != made[name]} == {"redis_password", "mlflow_db_password"}
    assert secrets_tool("check", str(folder)).returncode == 0


def enter(folder, *command, **variables):
    environment = {"PATH": os.environ["PATH"], "SECRETS_FOLDER": str(folder), **variables}
    return subprocess.run(
        [sys.executable, str(ENTRYPOINT), *command], env=environment, capture_output=True, text=True, check=False
    )


def test_the_entrypoint_fills_secrets_in_and_quotes_them_in_urls(tmp_path):
    (tmp_path / "db").write_text("p@ss/w%rd\n")
    show = (sys.executable, "-c", "import os; print(os.environ['URL'], os.environ['KEY'], os.environ['PLAIN'])")
    found = enter(tmp_path, *show, URL="postgresql://me:{secret:db}@host/db", KEY="{secret:db}", PLAIN="{a: 1}")
    assert found.stdout.split(None, 2) == ["postgresql://me:p%40ss%2Fw%25rd@host/db", "p@ss/w%rd", "{a: 1}\n"]


def test_the_entrypoint_names_every_missing_secret_and_starts_nothing(tmp_path):
    (tmp_path / "empty").write_text("\n")
    found = enter(tmp_path, "touch", str(tmp_path / "started"), A="{secret:gone}", B="x{secret:empty}")
    assert found.returncode != 0
    assert "empty, gone" in found.stderr
    assert not (tmp_path / "started").exists()


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")
def test_compose_reads_the_file_and_names_a_missing_setting(tmp_path):
    empty = tmp_path / "empty.env"
    empty.touch()
    command = ["docker-compose", "--env-file", str(ROOT / ".env.example"), "-f", str(COMPOSE_FILE), "config", "-q"]
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    good = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stderr
    bad = subprocess.run(
        [*command[:1], "--env-file", str(empty), *command[3:]],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert bad.returncode != 0
    assert "SECRETS_DIR" in bad.stderr
