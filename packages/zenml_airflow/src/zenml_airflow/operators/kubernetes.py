"""The launcher ``kubernetes``: steps in a pod, without root, on a read-only file system."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from kubernetes.client import models as k8s

from zenml_airflow.contracts.enums import Launcher
from zenml_airflow.manifest.launchers import KubernetesOptions, LauncherError, check_digest
from zenml_airflow.manifest.plan import TaskPlan, memory_bytes
from zenml_airflow.operators.docker import CONTAINER_COMMAND, CONTAINER_VARIABLES, image_of
from zenml_airflow.operators.steps import ZenMLSteps

if TYPE_CHECKING:
    from airflow.sdk import Context

    from zenml_airflow.manifest.manifest import Resources

XCOM_FILE = "/airflow/xcom/return.json"
"""Where Airflow's sidecar looks for the result of a pod."""

STOP_GRACE_SECONDS = 30
"""Wait between SIGTERM and SIGKILL, in which ZenML is told that the steps were stopped."""


class ZenMLKubernetesOperator(ZenMLSteps, KubernetesPodOperator):
    """Runs steps in a pod of a Kubernetes cluster.

    Args:
        default_image: Image that was deployed with the pipeline.
        project_root: Folder that the pod template's path is relative to.

    Raises:
        LauncherError: If no image is named, or not by digest, or no secret holds the credentials.
    """

    launcher = Launcher.KUBERNETES
    template_fields: Sequence[str] = (*ZenMLSteps.template_fields, "image", "namespace")

    def __init__(
        self,
        *,
        options: KubernetesOptions,
        plan: TaskPlan,
        default_image: str | None,
        project_root: Path,
        **kwargs: Any,
    ) -> None:
        image = image_of(plan, options.image, default_image)
        try:
            check_digest(image)
        except ValueError as error:
            raise LauncherError(f"Launcher 'kubernetes': {error}.") from None
        if options.credentials_secret is None:
            raise LauncherError(
                "Launcher 'kubernetes' needs credentials_secret: a pod reaches ZenML's server only with the URL "
                "and the key that a Kubernetes secret gives it."
            )
        if options.kubernetes_conn_id:
            kwargs["kubernetes_conn_id"] = options.kubernetes_conn_id
        super().__init__(
            image=image,
            name=plan.task_id.replace("_", "-"),
            namespace=options.namespace,
            cmds=list(CONTAINER_COMMAND),
            arguments=["--result", XCOM_FILE],
            env_from=[k8s.V1EnvFromSource(secret_ref=k8s.V1SecretEnvSource(name=options.credentials_secret))],
            service_account_name=options.service_account,
            # The pod speaks to ZenML and to storage, never to the cluster's API.
            automount_service_account_token=False,
            node_selector=dict(options.node_selector) or None,
            tolerations=[k8s.V1Toleration(**_snake(item)) for item in options.tolerations] or None,
            labels={**options.labels, "zenml-pipeline": kwargs["pipeline"].replace("_", "-")},
            pod_template_file=str(project_root / options.pod_template) if options.pod_template else None,
            image_pull_secrets=[k8s.V1LocalObjectReference(name=name) for name in options.image_pull_secrets],
            container_resources=_requirements(plan.resources),
            security_context=k8s.V1PodSecurityContext(
                run_as_non_root=True,
                run_as_user=options.run_as_user,
                fs_group=options.run_as_user,
                seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
            ),
            container_security_context=_locked_down(read_only=True),
            xcom_sidecar_container_security_context=_locked_down(read_only=False),
            volumes=[k8s.V1Volume(name="tmp", empty_dir=k8s.V1EmptyDirVolumeSource())],
            volume_mounts=[k8s.V1VolumeMount(name="tmp", mount_path="/tmp")],  # noqa: S108
            startup_timeout_seconds=options.startup_timeout_seconds,
            termination_grace_period=STOP_GRACE_SECONDS,
            deferrable=options.deferrable,
            do_xcom_push=True,
            on_finish_action="delete_pod",
            on_kill_action="delete_pod",
            **kwargs,
        )

    def execute(self, context: Context) -> Any:
        """Run the steps in a pod and return what ZenML recorded; deferred, the triggerer waits for the pod.

        Raises:
            LaunchError: If the pod ended without a record.
            AirflowException: If it ended badly.
        """
        request, run_context, _ = self.describe_run(context)
        variables = {**CONTAINER_VARIABLES, **self.variables(request, run_context)}
        self.env_vars = [k8s.V1EnvVar(name=name, value=value) for name, value in variables.items()]
        return self.finish(context, super().execute(context))

    def trigger_reentry(self, context: Context, event: dict[str, Any]) -> Any:
        """Collect the pod's result once the triggerer has seen it end.

        Airflow's operator takes a pod that is gone for a success; here a missing record is a failure.
        """
        return self.finish(context, super().trigger_reentry(context, event))


def _requirements(resources: Resources) -> k8s.V1ResourceRequirements:
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    if resources.cpu_count:
        requests["cpu"] = f"{int(resources.cpu_count * 1000)}m"
    if resources.memory:
        requests["memory"] = limits["memory"] = str(memory_bytes(resources.memory))
    if resources.gpu_count:
        limits["nvidia.com/gpu"] = str(resources.gpu_count)
    return k8s.V1ResourceRequirements(requests=requests or None, limits=limits or None)


def _locked_down(*, read_only: bool) -> k8s.V1SecurityContext:
    return k8s.V1SecurityContext(
        allow_privilege_escalation=False,
        read_only_root_filesystem=read_only,
        run_as_non_root=True,
        capabilities=k8s.V1Capabilities(drop=["ALL"]),
    )


def _snake(toleration: dict[str, Any]) -> dict[str, Any]:
    """A toleration as a pod specification spells it, in the client's spelling."""
    ours = {theirs: name for name, theirs in k8s.V1Toleration.attribute_map.items()}
    return {ours.get(key, key): value for key, value in toleration.items()}
