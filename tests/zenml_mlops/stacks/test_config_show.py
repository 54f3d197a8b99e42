"""Every setting says which file, line or variable it comes from."""

from typer.testing import CliRunner

from zenml_airflow.settings.project import load_settings
from zenml_mlops.cli.app import app
from zenml_mlops.cli.config import origins


def test_each_value_names_its_file_and_line(monkeypatch):
    monkeypatch.setenv("MLOPS_AIRFLOW_PORT", "8099")
    monkeypatch.setenv("MLOPS_AIRFLOW_DATABASE", "postgresql://airflow:hunter2@127.0.0.1/airflow")
    result = CliRunner().invoke(app, ["config", "show", "staging", "--origin"])
    assert result.exit_code == 0, result.output
    said = result.output
    assert "airflow.launcher = 'kubernetes'  # configs/staging.yaml:" in said
    assert "timezone = 'UTC'  # configs/base.yaml:" in said
    assert "services.airflow_port = 8099  # variable MLOPS_AIRFLOW_PORT" in said
    assert "airflow.image_lock_digest = None  # default" in said
    assert "hunter2" not in said


def test_the_named_line_holds_the_value():
    settings = load_settings("production")
    where = origins(settings)["airflow", "launcher"]
    file, _, line = where.partition(":")
    assert "launcher: kubernetes" in (settings.project_root / file).read_text().splitlines()[int(line) - 1]


def test_every_environment_loads_and_production_is_no_laptop():
    for name in ("staging", "production"):
        settings = load_settings(name)
        assert settings.airflow.connection
        assert "://" in settings.resolve(settings.storage.landing)
