"""Processes that write and read ZenML's configuration at the same time."""

import errno
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from zenml_airflow.runtime.zenml_files import YAML_UTILS

yaml_utils = importlib.import_module(YAML_UTILS)
PLAY = Path(__file__).parent / "play_zenml_files.py"
SECONDS = 0.5


def readings(folder, *imports):
    """What a process reads while two others write ZenML's configuration, a short one and a long one."""
    command = [sys.executable, str(PLAY), str(folder), str(SECONDS), *imports]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_a_configuration_is_read_as_one_of_those_that_were_written(tmp_path):
    assert set(readings(tmp_path, "zenml_airflow")) == {"short", "long"}


def test_zenml_alone_shows_half_written_ones(tmp_path):
    assert "empty" in readings(tmp_path)


def test_a_file_keeps_its_permissions_and_nothing_stays_beside_it(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("a: 1\n")
    path.chmod(0o640)
    yaml_utils.write_yaml(str(path), {"b": 2})
    assert yaml.safe_load(path.read_text()) == {"b": 2}
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_is_the_users_alone(tmp_path):
    yaml_utils.write_yaml(str(tmp_path / "config.yaml"), {"key": "secret"})
    assert (tmp_path / "config.yaml").stat().st_mode & 0o777 == 0o600


def test_a_link_stays_one(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    link, file = tmp_path / "config.yaml", tmp_path / "elsewhere" / "zenml.yaml"
    file.touch()
    link.symlink_to(file)
    yaml_utils.write_yaml(str(link), {"b": 2})
    assert link.is_symlink()
    assert yaml.safe_load(file.read_text()) == {"b": 2}


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        yaml_utils.write_yaml(str(tmp_path / "nowhere" / "config.yaml"), {})


def test_a_file_that_cannot_be_replaced_is_written(tmp_path, monkeypatch):
    path = tmp_path / "config.yaml"
    path.write_text("a: 1\n")

    def busy(*_):
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(Path, "replace", busy)
    yaml_utils.write_yaml(str(path), {"b": 2})
    assert yaml.safe_load(path.read_text()) == {"b": 2}
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("a: 1\n")
    with pytest.raises(TypeError, match="generator"):
        yaml_utils.write_yaml(str(path), {"b": (number for number in ())})
    assert path.read_text() == "a: 1\n"
    assert list(tmp_path.iterdir()) == [path]
