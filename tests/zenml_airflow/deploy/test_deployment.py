"""What a stack file says reaches a deployment and its run: the keys of the artifact store, and the resources."""

import json
import os
import shutil
from pathlib import Path

import boto3
import httpx
import pytest
from labs import ROOT, stores, warm
from moto.server import ThreadedMotoServer

from zenml_airflow.contracts.enums import Granularity, Launcher
from zenml_airflow.manifest.launchers import DockerOptions, KubernetesOptions
from zenml_airflow.manifest.manifest import read_manifest
from zenml_airflow.manifest.plan import plan_tasks
from zenml_airflow.operators.docker import ZenMLDockerOperator

HERE = Path(__file__).resolve().parent
PIPELINE = """from zenml import pipeline, step
from zenml.config import ResourceSettings


@step(enable_cache=False)
def where_from() -> str:
    return __file__


@step(settings={"resources": ResourceSettings(cpu_count=3)})
def train(code: str) -> str:
    return code


@step
def report(code: str) -> None:
    pass


@pipeline(enable_cache=False)
def wing() -> None:
    report(train(where_from()))
"""
STACK = """name: local
variables: [LAB_KEY, LAB_SECRET]
secrets:
  objects: {key: "env://LAB_KEY", secret: "env://LAB_SECRET"}
flavors:
  orchestrator: [zenml_airflow.deploy.flavor.ManifestAirflowOrchestratorFlavor]
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
settings:
  resources: {cpu_count: 1, memory: 2GiB}
airflow:
  executor: LocalExecutor
  bundle: {kind: local}
policies: {minimum: "off"}
"""
IMAGE = "registry.example/steps@sha256:" + "0" * 64
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def deployed(guarded_store, tmp_path_factory):
    """What came of a deployment and of the run of its first step, and the folder of it all."""
    url, key, secret = guarded_store
    folder = tmp_path_factory.mktemp("deployment")
    root = folder / "project"
    (root / "stacks").mkdir(parents=True)
    (root / "wing").mkdir()
    (root / "wing" / "__init__.py").touch()
    (root / "wing" / "pipeline.py").write_text(PIPELINE)
    (root / "stacks" / "local.yaml").write_text(STACK.replace("@URL@", url))
    shutil.copytree(ROOT / "configs", root / "configs")
    stores.give_zenml(folder / "state" / "zenml")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    result = warm.run(
        [str(HERE / "play_deployment.py")],
        env={
            **environment,
            "AWS_EC2_METADATA_DISABLED": "true",
            "HOME": str(folder),
            "MLOPS_PROJECT_ROOT": str(root),
            "MLOPS_STATE_DIR": str(folder / "state"),
            "LAB_KEY": key,
            "LAB_SECRET": secret,
        },
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return {**json.loads(result.stdout.strip().splitlines()[-1]), "folder": folder}


def test_the_stores_own_keys_are_used_on_both_sides_and_the_environment_holds_none(guarded_store, deployed):
    url, key, secret = guarded_store
    assert deployed["status"] == "completed"
    assert Path(deployed["code"]).is_relative_to(deployed["folder"] / "state" / "code" / deployed["digest"])
    client = boto3.client(
        "s3", endpoint_url=url, aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-east-1"
    )
    listed = client.list_objects_v2(Bucket="bucket", Prefix="artifacts/code_uploads/")["Contents"]
    assert [entry["Key"] for entry in listed] == [f"artifacts/code_uploads/{deployed['digest']}.tar.gz"]
    assert secret not in deployed["manifest"]


@pytest.fixture
def planned(deployed, tmp_path):
    """The tasks that the deployed manifest becomes, grouped, under a launcher."""
    (tmp_path / "wing.json").write_text(deployed["manifest"])
    manifest = read_manifest(tmp_path / "wing.json", "wing")

    def plan(launcher):
        return list(plan_tasks(manifest, granularity=Granularity.GROUPED, launcher=launcher))

    return plan


def test_the_environments_resources_are_those_of_a_step_that_says_nothing(planned):
    (task,) = planned(Launcher.IN_PROCESS)
    assert [(step.name, step.resources.cpu_count, step.resources.memory) for step in task.steps] == [
        ("where_from", 1, "2GiB"),
        ("train", 3, "2GiB"),
        ("report", 1, "2GiB"),
    ]


def common(task):
    return {
        "task_id": task.task_id,
        "group_id": "wing",
        "pipeline": "wing",
        "snapshot_id": "8b5f9b1e-0000-4000-8000-000000000000",
        "code_digest": "b" * 64,
        "steps": [step.name for step in task.steps],
        "placed": ["where_from", "train", "report"],
        "environment_name": "local",
        "plan": task,
        "default_image": IMAGE,
    }


def test_what_a_step_asks_for_cuts_the_group_and_is_what_its_pod_gets(planned):
    from zenml_airflow.operators.kubernetes import ZenMLKubernetesOperator

    tasks = planned(Launcher.KUBERNETES)
    assert [task.task_id for task in tasks] == ["where_from", "train", "report"]
    options = KubernetesOptions(image=IMAGE, credentials_secret="zenml-credentials")
    pods = [
        ZenMLKubernetesOperator(options=options, project_root=ROOT, **common(task)).container_resources
        for task in tasks
    ]
    assert [(pod.requests["cpu"], pod.requests["memory"], pod.limits["memory"]) for pod in pods] == [
        ("1000m", str(2 * 2**30), str(2 * 2**30)),
        ("3000m", str(2 * 2**30), str(2 * 2**30)),
        ("1000m", str(2 * 2**30), str(2 * 2**30)),
    ]


def test_what_a_step_asks_for_is_what_its_container_gets(planned):
    made = [ZenMLDockerOperator(options=DockerOptions(), **common(task)) for task in planned(Launcher.DOCKER)]
    assert [(operator.host_limits["nano_cpus"], operator.mem_limit) for operator in made] == [
        (1_000_000_000, 2 * 2**30),
        (3_000_000_000, 2 * 2**30),
        (1_000_000_000, 2 * 2**30),
    ]
