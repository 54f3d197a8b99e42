"""``mlops gitlab secrets`` hands a job's shell what a secret may set, and prints none of it."""

import stat
import subprocess

import pytest
import typer

from zenml_mlops.cli.gitlab import hand_on_secrets


def test_the_shell_gets_each_value_as_it_is(aws, tmp_path, capsys):
    aws.create_secret(
        Name="platform/staging",
        SecretString='{"MLOPS_SIGNING_KEY": "one\\ntwo\'s $(id)", "ZENML_STORE_URL": "https://zenml.example.com"}',
    )
    target = tmp_path / "logins"
    target.write_text("export BEFORE=1\n")
    target.chmod(0o644)
    hand_on_secrets("platform/staging", to=target)
    assert capsys.readouterr().out == "set MLOPS_SIGNING_KEY, ZENML_STORE_URL\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    script = f'. "{target}"; printf "%s|%s|%s" "$MLOPS_SIGNING_KEY" "$ZENML_STORE_URL" "${{BEFORE-unset}}"'
    read = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert read.stdout == "one\ntwo's $(id)|https://zenml.example.com|unset"


def test_a_secret_that_sets_anything_else_is_refused_and_nothing_is_written(aws, tmp_path, capsys):
    aws.create_secret(Name="platform/staging", SecretString='{"PATH": "hunter2"}')
    target = tmp_path / "logins"
    with pytest.raises(typer.Exit) as ended:
        hand_on_secrets("platform/staging", to=target)
    assert ended.value.exit_code == 1
    told = capsys.readouterr()
    assert "sets ['PATH']" in told.err.replace("\n", " ")
    assert "hunter2" not in told.out + told.err
    assert not target.exists()
