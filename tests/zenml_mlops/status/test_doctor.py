"""`mlops doctor` on folders that are as they should be, and on ones that are not."""

from __future__ import annotations

import json
import socket
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from zenml_airflow.settings.project import Settings, load_settings
from zenml_mlops.audit import Outcome, open_log
from zenml_mlops.audit.entries import Event
from zenml_mlops.cli.app import app
from zenml_mlops.status import doctor
from zenml_mlops.status.doctor import Level, examine


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    local = load_settings("local")
    manifests = local.airflow.model_copy(update={"manifests": "state:manifests"})
    return local.model_copy(update={"state_dir": tmp_path / "state", "airflow": manifests})


def found(check, settings: Settings) -> list[tuple[Level, str, str | None]]:
    return list(check(settings))


def test_the_installed_versions_are_those_of_the_lock(settings: Settings):
    assert [level for level, _, _ in found(doctor.versions, settings)] == [Level.OK, Level.OK]


def test_a_package_out_of_its_bounds_is_named(settings: Settings, monkeypatch):
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "1.0" if name == "pandas" else real(name))
    _, (level, text, fix) = found(doctor.versions, settings)
    assert (level, fix) == (Level.PROBLEM, "Install the locked versions with `make setup`.")
    assert text.startswith("pandas 1.0, wanted ")


def test_a_port_in_use_is_a_problem_with_its_way_out(settings: Settings):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        busy = settings.model_copy(
            update={"services": settings.services.model_copy(update={"airflow_port": port})}
        )
        ((level, text, fix),) = found(doctor.ports, busy)
    assert (level, bool(fix)) == (Level.PROBLEM, True)
    assert f"Port {port}" in text


def test_a_full_disk_and_a_late_clock_show(settings: Settings, tmp_path: Path, monkeypatch):
    assert Level.PROBLEM not in {level for level, _, _ in found(doctor.disk, settings)}
    monkeypatch.setattr(doctor, "DISK_PROBLEM", 1 << 80)
    assert found(doctor.disk, settings)[0][0] is Level.PROBLEM
    ((level, _, _),) = found(doctor.clock, settings)
    assert level is Level.OK
    assert not list(tmp_path.glob(".doctor-*"))
    ahead = doctor.time.time() + 3600
    monkeypatch.setattr(doctor.time, "time", lambda: ahead)
    ((level, text, fix),) = found(doctor.clock, settings)
    assert (level, fix) == (Level.PROBLEM, "Set both clocks by NTP.")
    assert text.startswith("36")


def test_pipelines_that_are_not_deployed_are_named_with_the_command(settings: Settings):
    said = found(doctor.bundle, settings)
    assert {level for level, _, _ in said} == {Level.PROBLEM}
    assert "Deploy it with `mlops deploy training`." in {fix for _, _, fix in said}


def test_a_broken_audit_log_and_a_missing_store_show(settings: Settings):
    place = Path(settings.resolve(settings.storage.audit))
    log = open_log(str(place))
    for name in ("a", "b"):
        log.append(Event(actor="user:x", action=name, subject="s", outcome=Outcome.DONE))
    assert found(doctor.audit, settings) == [(Level.OK, "2 entries are whole", None)]
    place.write_text(place.read_text().replace('"a"', '"c"'))
    ((level, text, _),) = found(doctor.audit, settings)
    assert level is Level.PROBLEM
    assert text.startswith("broken at entry 1")
    assert found(doctor.stores, settings)[0][0] is Level.WARNING


def test_a_check_that_fails_is_a_finding(settings: Settings, monkeypatch):
    def failing(_):
        raise OSError("no such device")

    monkeypatch.setattr(doctor, "CHECKS", {"disk": failing})
    (finding,) = examine(settings)
    assert (finding.check, finding.level, finding.found) == ("disk", Level.PROBLEM, "OSError: no such device")


@pytest.mark.parametrize(("free", "code"), [(1 << 80, 1), (1, 0)])
def test_the_exit_code_says_whether_there_is_a_problem(settings: Settings, monkeypatch, free: int, code: int):
    monkeypatch.setattr("zenml_mlops.environment.process.enter", lambda _: settings)
    monkeypatch.setattr(doctor, "CHECKS", {"disk": doctor.disk})
    monkeypatch.setattr(doctor, "DISK_PROBLEM", free)
    said = CliRunner().invoke(app, ["doctor", "--json"])
    assert said.exit_code == code
    content = json.loads(said.stdout)
    assert content["schema_version"] == 1
    assert set(content["findings"][0]) == {"check", "level", "found", "fix"}
    assert CliRunner().invoke(app, ["doctor"]).exit_code == code
