"""What a launcher may be told, and how the rest is refused."""

import pytest

from zenml_airflow.contracts.enums import Launcher
from zenml_airflow.manifest.launchers import LauncherError, parse_options

BY_DIGEST = "registry.example/steps@sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("launcher", "options", "message"),
    [
        ("in_process", {"python": "/opt/python"}, "'python' has no effect with launcher 'in_process'.*subprocess"),
        ("subprocess", {"namespace": "ml"}, "'namespace' has no effect with launcher 'subprocess'.*kubernetes"),
        ("docker", {"node_selector": {}}, "'node_selector' has no effect with launcher 'docker'"),
        ("kubernetes", {"user": "1000"}, "'user' has no effect with launcher 'kubernetes'.*docker"),
        (
            "subprocess",
            {"pyhton": "x"},
            "'pyhton' has no effect.*options are \\['python', 'stop_grace_seconds'\\]",
        ),
        ("subprocess", {"stop_grace_seconds": 60}, "stop_grace_seconds"),
        ("docker", {"user": "root"}, "do not run as root"),
        ("docker", {"user": "0:0"}, "do not run as root"),
        (
            "docker",
            {"volumes": {"/var/run/docker.sock": "/var/run/docker.sock"}},
            "never gets the engine's socket",
        ),
        ("kubernetes", {"image": "registry.example/steps:latest"}, "not named by digest"),
        ("kubernetes", {"run_as_user": 0}, "run_as_user"),
    ],
)
def test_an_option_without_effect_or_sense_is_refused(launcher, options, message):
    with pytest.raises(LauncherError, match=message):
        parse_options(Launcher(launcher), options)


def test_every_problem_is_listed_at_once():
    with pytest.raises(LauncherError) as caught:
        parse_options(Launcher.DOCKER, {"namespace": "ml", "python": "x", "user": "root"})
    assert all(word in str(caught.value) for word in ("namespace", "python", "root"))


def test_options_that_fit_are_read():
    assert parse_options(Launcher.KUBERNETES, {"image": BY_DIGEST, "namespace": "ml"}).namespace == "ml"
    assert parse_options(Launcher.SUBPROCESS, {}).python is None
