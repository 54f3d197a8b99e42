"""The pod that the launcher `kubernetes` asks a cluster for.

No cluster runs here: Airflow's own operator sends its request to a server that writes it down, and the pod is
validated against the OpenAPI schema of Kubernetes.
"""

import json
from datetime import UTC, datetime

import kubernetes_validate
import pytest
import yaml
from labs.manifests import step
from recorder import recording

from zenml_airflow.context import CONTEXT_ENV, RunContext
from zenml_airflow.contracts.enums import Launcher
from zenml_airflow.manifest.launchers import LauncherError
from zenml_airflow.manifest.manifest import Resources
from zenml_airflow.runtime.entrypoint import REQUEST_ENV
from zenml_airflow.runtime.runner import StepsRequest
from zenml_airflow.settings.project import load_settings

pytestmark = [pytest.mark.airflow]

IMAGE = "registry.example/steps@sha256:" + "0" * 64
GPU_IMAGE = "registry.example/gpu-steps@sha256:" + "1" * 64
OPTIONS = {
    "image": IMAGE,
    "namespace": "ml",
    "service_account": "steps",
    "node_selector": {"pool": "ml"},
    "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "ml", "effect": "NoSchedule"}],
    "labels": {"team": "data-science"},
    "image_pull_secrets": ["registry"],
    "credentials_secret": "zenml-credentials",
    "run_as_user": 1234,
}
STEPS = (
    step("load"),
    step("train", "load", resources=Resources(cpu_count=1.5, memory="2GB", gpu_count=1), image=GPU_IMAGE),
)
KUBERNETES_VERSION = "1.33"


@pytest.fixture
def asked_for(settings, make_dag, airflow_database, tmp_path, monkeypatch):
    """The pods that a run of the DAG asks a cluster for."""

    def ask(options=OPTIONS, **kwargs):
        refusal = {"kind": "Status", "status": "Failure", "message": "written down", "code": 403}
        answers = {("POST", "/pods"): (403, refusal), ("GET", "/pods"): (200, {"kind": "PodList", "items": []})}
        with recording(answers) as cluster:
            config = {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "here",
                "clusters": [{"name": "here", "cluster": {"server": cluster.url}}],
                "users": [{"name": "me", "user": {}}],
                "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            }
            path = tmp_path / "kubeconfig"
            path.write_text(yaml.safe_dump(config))
            extra = json.dumps({"kube_config_path": str(path)})
            monkeypatch.setenv(
                "AIRFLOW_CONN_KUBERNETES_DEFAULT", json.dumps({"conn_type": "kubernetes", "extra": extra})
            )
            dag = make_dag("pods", "kubernetes", {**options, "deferrable": False}, **kwargs)
            dag.test(logical_date=datetime(2026, 1, 5, tzinfo=UTC))
            return cluster.bodies("POST", "/pods")

    return ask


def test_the_pods_say_what_the_options_and_the_steps_say(asked_for):
    load, train = asked_for()
    for pod in (load, train):
        kubernetes_validate.validate(pod, KUBERNETES_VERSION, strict=True)
        spec = pod["spec"]
        assert pod["metadata"]["namespace"] == "ml"
        assert pod["metadata"]["labels"]["team"] == "data-science"
        assert pod["metadata"]["labels"]["dag_id"] == "pods"
        assert spec["serviceAccountName"] == "steps"
        assert spec["automountServiceAccountToken"] is False
        assert spec["nodeSelector"] == {"pool": "ml"}
        assert spec["tolerations"] == OPTIONS["tolerations"]
        assert spec["imagePullSecrets"] == [{"name": "registry"}]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 1234
        assert spec["terminationGracePeriodSeconds"] == 30
        base = next(one for one in spec["containers"] if one["name"] == "base")
        assert base["securityContext"]["readOnlyRootFilesystem"] is True
        assert base["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert base["envFrom"] == [{"secretRef": {"name": "zenml-credentials"}}]
        assert {"name": "tmp", "mountPath": "/tmp"} in base["volumeMounts"]
        assert not [volume for volume in spec["volumes"] if "hostPath" in volume]

    load, train = (
        next(one for one in pod["spec"]["containers"] if one["name"] == "base") for pod in (load, train)
    )
    assert (load["image"], train["image"]) == (IMAGE, GPU_IMAGE)
    assert "limits" not in load["resources"]
    assert train["resources"] == {
        "requests": {"cpu": "1500m", "memory": "2000000000"},
        "limits": {"memory": "2000000000", "nvidia.com/gpu": "1"},
    }

    told = {item["name"]: item["value"] for item in load["env"]}
    request = StepsRequest.model_validate_json(told[REQUEST_ENV])
    assert (request.steps, request.placed) == (("load",), ("load", "train"))
    context = RunContext.model_validate_json(told[CONTEXT_ENV])
    assert context.partition_date.isoformat() == "2026-01-05"
    assert load["command"][:3] == ["python", "-m", "zenml_airflow.runtime.entrypoint"]
    assert not [name for name in told if "KEY" in name or "TOKEN" in name or "PASSWORD" in name]


def test_a_pod_template_fills_in_what_the_options_leave_open(asked_for):
    template = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"annotations": {"cost-centre": "42"}},
        "spec": {"priorityClassName": "batch", "containers": [{"name": "base", "image": "overridden"}]},
    }
    path = load_settings("local").state_dir / "template.yaml"
    path.write_text(yaml.safe_dump(template))
    pod, _ = asked_for({**OPTIONS, "pod_template": str(path)})
    kubernetes_validate.validate(pod, KUBERNETES_VERSION, strict=True)
    assert pod["metadata"]["annotations"]["cost-centre"] == "42"
    assert pod["spec"]["priorityClassName"] == "batch"
    assert next(one["image"] for one in pod["spec"]["containers"] if one["name"] == "base") == IMAGE


def test_a_grouped_pod_holds_the_steps_that_agree(settings, make_dag):
    dag = make_dag("pods", "kubernetes", OPTIONS, granularity="grouped")
    assert {task.task_id: task.steps for task in dag.tasks} == {
        "training.load": ["load"],
        "training.train": ["train"],
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": None}, "have no image"),
        ({"image": "registry.example/steps:latest"}, "not named by digest"),
        ({"credentials_secret": None}, "needs credentials_secret"),
        ({"user": "1000"}, "'user' has no effect with launcher 'kubernetes'"),
    ],
)
def test_what_could_not_run_is_an_import_error(settings, make_dag, change, message):
    with pytest.raises(LauncherError, match=message):
        make_dag("pods", "kubernetes", {**OPTIONS, **change})


def test_the_launcher_waits_in_the_triggerer_by_default(settings, make_dag):
    (task, *_) = make_dag("pods", "kubernetes", OPTIONS).tasks
    assert (task.launcher, task.deferrable) == (Launcher.KUBERNETES, True)
