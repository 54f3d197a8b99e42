"""The manifests against Kubernetes' own schemas, and the parts of pods among the values of the Helm chart."""

import kubernetes_validate
import pytest
import yaml
from labs import ROOT

from zenml_airflow.manifest.launchers import KubernetesOptions

FOLDER = ROOT / "docker" / "kubernetes"
VERSION = "1.33"
VALUES = ("values.yaml", "values-celery.yaml", "values-kubernetes.yaml")
MANIFESTS = sorted(path for path in FOLDER.glob("*.yaml") if path.name not in VALUES)


def documents(path):
    return list(yaml.safe_load_all(path.read_text()))


TASK_POD = yaml.safe_load(documents(FOLDER / "values-kubernetes.yaml")[0]["podTemplate"])
OBJECTS = [
    *((path.name, item) for path in MANIFESTS for item in documents(path)),
    ("values-kubernetes.yaml", TASK_POD),
]


def of_kind(kind):
    return {item["metadata"]["name"]: item for _, item in OBJECTS if item["kind"] == kind}


def values(name):
    return documents(FOLDER / name)[0]


def merged(name):
    """The values as Helm merges an executor's file over the shared one: mappings by key, lists as a whole."""

    def over(base, top):
        if isinstance(base, dict) and isinstance(top, dict):
            return {key: over(base.get(key), top.get(key, base.get(key))) for key in {**base, **top}}
        return top

    return over(values("values.yaml"), values(name))


@pytest.mark.parametrize(
    ("name", "item"), OBJECTS, ids=[f"{n}-{i['kind']}-{i['metadata']['name']}" for n, i in OBJECTS]
)
def test_a_manifest_fits_the_schema(name, item):
    kubernetes_validate.validate(item, VERSION, strict=True)


def test_the_schema_refuses_a_wrong_manifest():
    broken = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": [{"nam": "x"}]}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSION, strict=True)


@pytest.mark.parametrize("pod", [documents(FOLDER / "step-pod.yaml")[0], TASK_POD], ids=["step", "task"])
def test_a_pod_meets_the_restricted_standard(pod):
    spec = pod["spec"]
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    for container in spec["containers"]:
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert own["readOnlyRootFilesystem"] is True
        assert container["resources"]["requests"]
        assert container["resources"]["limits"]["memory"]
        for variable in container.get("env", []):
            assert "valueFrom" in variable or "SECRET" not in variable["name"]
    assert not [volume for volume in spec.get("volumes", []) if "hostPath" in volume]


def test_what_a_step_runs_as_may_do_nothing():
    bound = {subject["name"] for item in of_kind("RoleBinding").values() for subject in item["subjects"]}
    assert bound == {"airflow-pod-launcher"}
    accounts = of_kind("ServiceAccount")
    for name in ("zenml-steps", "airflow-worker"):
        assert accounts[name]["automountServiceAccountToken"] is False
    assert not of_kind("ClusterRoleBinding")
    assert not of_kind("ClusterRole")


def test_the_role_names_what_it_allows():
    for role in of_kind("Role").values():
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert set(rule["resources"]) <= {"pods", "pods/log", "pods/exec", "events"}


def test_nothing_is_allowed_by_default_and_steps_reach_no_database():
    policies = of_kind("NetworkPolicy")
    default = policies["nothing-by-default"]["spec"]
    assert default == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    ports = {port["port"] for rule in policies["steps"]["spec"]["egress"] for port in rule["ports"]}
    assert ports == {8237, 5000, 443}
    label = policies["steps"]["spec"]["podSelector"]["matchLabels"]
    assert label.items() <= documents(FOLDER / "step-pod.yaml")[0]["metadata"]["labels"].items()


def test_every_object_is_in_the_one_namespace():
    for name, item in OBJECTS:
        if item["kind"] not in {"Namespace", "PriorityClass"}:
            assert item["metadata"]["namespace"] == "ml-platform", name


def test_the_launcher_takes_the_template():
    options = KubernetesOptions(pod_template="docker/kubernetes/step-pod.yaml", service_account="zenml-steps")
    template = documents(ROOT / options.pod_template)[0]
    assert template["spec"]["serviceAccountName"] in of_kind("ServiceAccount")
    assert template["spec"]["containers"][0]["name"] == "base", "Airflow looks for the container of this name"
    assert template["spec"]["priorityClassName"] in of_kind("PriorityClass")


@pytest.mark.parametrize("name", VALUES[1:])
def test_the_chart_gets_secrets_by_name_pods_by_the_standard_and_dags_from_git(name):
    chart = merged(name)
    assert not chart["postgresql"]["enabled"]
    assert not chart["redis"]["enabled"]
    for key in ("fernetKeySecretName", "jwtSecretName", "apiSecretKeySecretName"):
        assert chart[key]
    text = "".join((FOLDER / one).read_text().lower() for one in ("values.yaml", name))
    text = text.replace("automountserviceaccounttoken:", "")
    for word in ("password:", "fernetkey:", "brokerurl:", "pass:", "token:"):
        assert word not in text
    assert "GitDagBundle" in chart["config"]["dag_processor"]["dag_bundle_config_list"]
    accounts = of_kind("ServiceAccount")
    for part in ("apiServer", "scheduler", "dagProcessor", "triggerer", "workers"):
        assert chart[part]["serviceAccount"]["create"] is False
        assert chart[part]["serviceAccount"]["name"] in accounts
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x"},
        "spec": {
            "securityContext": chart["securityContexts"]["pod"],
            "volumes": chart["volumes"],
            "containers": [
                {
                    "name": part.lower(),
                    "image": "x",
                    "env": chart["env"],
                    "volumeMounts": chart["volumeMounts"],
                    "securityContext": chart["securityContexts"]["containers"],
                    "resources": chart[part].get("resources", {}),
                }
                for part in ("apiServer", "scheduler", "dagProcessor", "triggerer", "workers")
            ],
        },
    }
    kubernetes_validate.validate(pod, VERSION, strict=True)


@pytest.mark.parametrize("name", VALUES[1:])
def test_what_the_chart_would_do_by_itself_and_must_not_is_turned_off(name):
    chart = merged(name)
    assert chart["webserver"]["defaultUser"] == {"enabled": False}, "admin with the password admin"
    assert chart["pgbouncer"]["configSecretName"], "a password among the values"
    assert chart["pgbouncer"]["metricsExporterSidecar"]["statsSecretName"]
    assert "fab" not in chart["config"]["core"]["auth_manager"].lower(), "the image holds no FAB"
    for part in ("scheduler", "triggerer", "dagProcessor"):
        assert chart[part]["logGroomerSidecar"] == {"enabled": False}, "the image holds no such script"
    assert chart["triggerer"]["persistence"] == {"enabled": False}
    for part in ("apiServer", "scheduler"):
        # Helm keeps the chart's own `maxUnavailable`, and Kubernetes takes no budget that has both.
        assert list(chart[part]["podDisruptionBudget"]["config"]) == ["maxUnavailable"]


def test_the_broker_and_the_autoscaler_get_through():
    policies = of_kind("NetworkPolicy")
    assert 6379 in {
        port["port"] for rule in policies["airflow"]["spec"]["egress"] for port in rule.get("ports", [])
    }
    (rule,) = policies["keda-to-pgbouncer"]["spec"]["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 6543}]


def test_celery_workers_follow_the_length_of_the_queue():
    chart = merged("values-celery.yaml")
    assert chart["executor"] == "CeleryExecutor"
    keda = chart["workers"]["keda"]
    assert keda["enabled"]
    assert 0 < keda["minReplicaCount"] < keda["maxReplicaCount"]
    assert "config.celery.worker_concurrency" in keda["query"]
    assert int(chart["config"]["celery"]["worker_concurrency"]) > 0
    assert merged("values-kubernetes.yaml")["executor"] == "KubernetesExecutor"
