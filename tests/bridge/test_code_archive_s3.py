"""Code goes to an object store and comes from it with what ZenML knows of the store, and with nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PIPELINE = """from zenml import pipeline, step


@step(enable_cache=False)
def where_from() -> str:
    return __file__


@pipeline(enable_cache=False)
def wing() -> None:
    where_from()
"""
STACK = """name: local
variables: [LAB_KEY, LAB_SECRET]
secrets:
  objects: {key: "env://LAB_KEY", secret: "env://LAB_SECRET"}
flavors:
  orchestrator: [zenml_airflow.flavor.ManifestAirflowOrchestratorFlavor]
components:
  orchestrator:
    airflow: {flavor: zenml_airflow, config: {local: false}}
  artifact_store:
    objects:
      flavor: s3
      config:
        path: s3://bucket/artifacts
        key: secret://objects/key
        secret: secret://objects/secret
        client_kwargs: {endpoint_url: "@URL@", region_name: us-east-1}
stacks:
  lab: {orchestrator: airflow, artifact_store: objects}
scheduled: lab
airflow:
  executor: LocalExecutor
  launcher: in_process
  granularity: per_step
  bundle: {kind: local}
policies: {minimum: "off"}
"""
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


@pytest.fixture
def guarded_store():
    """A server that checks each request's signature; gives its address and the one pair of keys that it knows."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    session = boto3.Session("nobody", "nothing", region_name="us-east-1")
    iam = session.client("iam", endpoint_url=url)
    iam.create_user(UserName="zenml")
    iam.put_user_policy(UserName="zenml", PolicyName="all", PolicyDocument=json.dumps(POLICY))
    keys = iam.create_access_key(UserName="zenml")["AccessKey"]
    session.client("s3", endpoint_url=url).create_bucket(Bucket="bucket")
    httpx.post(f"{url}/moto-api/reset-auth", content=b"0").raise_for_status()
    yield url, keys["AccessKeyId"], keys["SecretAccessKey"]
    httpx.post(f"{url}/moto-api/reset-auth", content=b"inf").raise_for_status()
    httpx.post(f"{url}/moto-api/reset").raise_for_status()
    server.stop()


def test_the_stores_own_keys_are_used_on_both_sides_and_the_environment_holds_none(guarded_store, tmp_path):
    url, key, secret = guarded_store
    root = tmp_path / "project"
    (root / "stacks").mkdir(parents=True)
    (root / "wing").mkdir()
    (root / "wing" / "__init__.py").touch()
    (root / "wing" / "pipeline.py").write_text(PIPELINE)
    (root / "stacks" / "local.yaml").write_text(STACK.replace("@URL@", url))
    shutil.copytree(ROOT / "configs", root / "configs")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    result = subprocess.run(
        [sys.executable, "-W", "ignore", str(HERE / "play_s3.py")],
        env={
            **environment,
            "AWS_EC2_METADATA_DISABLED": "true",
            "HOME": str(tmp_path),
            "MLOPS_PROJECT_ROOT": str(root),
            "MLOPS_STATE_DIR": str(tmp_path / "state"),
            "LAB_KEY": key,
            "LAB_SECRET": secret,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    found = json.loads(result.stdout.strip().splitlines()[-1])
    assert found["status"] == "completed"
    assert Path(found["code"]).is_relative_to(tmp_path / "state" / "code" / found["digest"])
    client = boto3.client(
        "s3", endpoint_url=url, aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-east-1"
    )
    listed = client.list_objects_v2(Bucket="bucket", Prefix="artifacts/code_uploads/")["Contents"]
    assert [entry["Key"] for entry in listed] == [f"artifacts/code_uploads/{found['digest']}.tar.gz"]
    assert secret not in found["manifest"]
