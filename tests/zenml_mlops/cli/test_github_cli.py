"""``mlops github secrets`` hands on what a secret may set, masked, and nothing else."""

import json
import os

import boto3
import pytest
from labs import warm

from zenml_mlops.cli.github import HANDED_ON, SecretError, checked_secret, environment_lines, read_secret


def test_a_secret_is_read_from_aws(aws):
    aws.create_secret(Name="platform/staging", SecretString='{"ZENML_STORE_URL": "https://zenml.example.com"}')
    aws.create_secret(Name="binary", SecretBinary=b"1")
    assert checked_secret(read_secret("platform/staging")) == {"ZENML_STORE_URL": "https://zenml.example.com"}
    with pytest.raises(SecretError, match="did not return the secret 'other'"):
        read_secret("other")
    with pytest.raises(SecretError, match="is binary"):
        read_secret("binary")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hunter2", "not JSON"),
        ('["hunter2"]', "JSON object"),
        ("{}", "not an empty one"),
        ('{"PATH": "hunter2"}', r"sets \['PATH'\]"),
        ('{"SLACK_TOKEN": 2}', r"no text for \['SLACK_TOKEN'\]"),
        ('{"SLACK_TOKEN": ""}', r"no text for \['SLACK_TOKEN'\]"),
    ],
)
def test_a_secret_that_must_not_be_handed_on_is_refused_unseen(text, message):
    with pytest.raises(SecretError, match=message) as refused:
        checked_secret(text)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_no_value_can_set_another_variable():
    lines = environment_lines({"SLACK_TOKEN": "a\nPATH=/tmp/evil\nend_", "ZENML_STORE_URL": "b"}).splitlines()
    word = lines[0].removeprefix("SLACK_TOKEN<<")
    assert lines[1:5] == ["a", "PATH=/tmp/evil", "end_", word]
    assert lines[5] != f"ZENML_STORE_URL<<{word}"
    assert not HANDED_ON & {"PATH", "BASH_ENV", "LD_PRELOAD", "PYTHONPATH"}


def test_a_job_gets_the_variables_and_its_log_masks_them(tmp_path):
    """The command itself, against an AWS that answers over HTTP."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        environment = {
            **os.environ,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        }
        client = boto3.client(
            "secretsmanager",
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            region_name="eu-central-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        client.create_secret(Name="platform", SecretString=json.dumps({"SLACK_TOKEN": "one\ntwo"}))

        def call(**more):
            return warm.run(
                ["-m", "zenml_mlops.cli.app", "github", "secrets", "platform"], env={**environment, **more}
            )

        target = tmp_path / "github_env"
        target.write_text("BEFORE=1\n")
        done = call(GITHUB_ENV=str(target))
        assert done.returncode == 0, done.stderr
        assert done.stdout == "::add-mask::one\n::add-mask::two\nset SLACK_TOKEN\n"
        before, head, *value, end = target.read_text().splitlines()
        assert (before, value, head) == ("BEFORE=1", ["one", "two"], f"SLACK_TOKEN<<{end}")
        refused = call()
        assert refused.returncode == 1
        assert "runs in a job of GitHub Actions" in refused.stderr
    finally:
        server.stop()
