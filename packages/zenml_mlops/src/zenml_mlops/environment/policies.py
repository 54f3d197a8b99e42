"""What the policies say of an environment: its pipelines, its stack, its DAG files."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from zenml_mlops.policy.describe import DEPLOYMENT_KEY, describe_pipeline, describe_stack
from zenml_mlops.policy.engine import Assessment, judge
from zenml_mlops.policy.facts import DeploymentFacts, Subject, subject_name
from zenml_mlops.policy.schema import load_policies
from zenml_mlops.policy.waivers import expired, load_waivers

if TYPE_CHECKING:
    from zenml_airflow.settings.project import Settings
    from zenml_mlops.data.use_case import PipelineSpec
    from zenml_mlops.environment.deployments import DeploymentContext


def judge_deployment(context: DeploymentContext, spec: PipelineSpec) -> Assessment:
    """Judge a pipeline as it would be deployed now, with the active stack."""
    subjects = [*deployment_subjects(context, spec), active_stack_subject(context.settings)]
    return judge(subjects, context.settings.environment)


def decide(action: str, context: DeploymentContext, spec: PipelineSpec, assessment: Assessment) -> Assessment:
    """Record in the audit log what the policies decide of a pipeline; nothing is enforced here.

    Raises:
        AuditError: If it cannot be recorded.
    """
    from zenml_mlops.audit import Outcome, record

    record(
        action,
        f"pipeline:{spec.name}",
        Outcome.REFUSED if assessment.blocking else Outcome.ALLOWED,
        verdicts=[verdict.record() for verdict in assessment.verdicts],
        links={"environment": context.settings.environment, "commit": context.made.commit},
    )
    return assessment


def deployment_subjects(context: DeploymentContext, spec: PipelineSpec) -> list[Subject]:
    """The pipeline and its deployment, described from the code and the configuration as they are."""
    from zenml_mlops.environment.deployments import load_pipeline, pipeline_arguments

    pipeline = load_pipeline(context, spec)
    pipeline.prepare(**pipeline_arguments(context, spec))
    return [describe_pipeline(pipeline, _defaults(context.settings)), deployment_facts(context, spec.name)]


def active_stack_subject(settings: Settings) -> Subject:
    """The active stack, to be used for the environment."""
    from zenml.client import Client

    return describe_stack(Client().active_stack_model, settings.environment)


def deployment_extra(context: DeploymentContext, pipeline: str) -> dict[str, Any]:
    """What a snapshot records of its deployment, so that the run-start guard can judge it again."""
    facts = deployment_facts(context, pipeline).model_dump(mode="json", exclude={"pipeline", "running"})
    # Also part of the snapshot's identity: other defaults make another snapshot.
    resources = context.stack.settings.resources
    return {DEPLOYMENT_KEY: {"facts": facts, "defaults": _defaults(context.settings), "resources": resources}}


def check_environment(settings: Settings, *, today: date | None = None) -> tuple[Assessment, list[str]]:
    """Judge every pipeline, the scheduled stack and every DAG file of an environment.

    Args:
        today: The day on which waivers must still hold; today in UTC by default.

    Returns:
        The verdicts, and what else is wrong: waivers that have ended or that are about nothing, and DAG files that
        cannot be parsed.
    """
    from zenml_airflow.runtime.active_stack import active_stack
    from zenml_mlops.environment.deployments import deployment_context, pipelines
    from zenml_mlops.environment.stack_changes import apply_stack
    from zenml_mlops.environment.stack_files import checked_stack, stack_id

    day = today or datetime.now(UTC).date()
    loaded = checked_stack(settings)
    apply_stack(settings, loaded)
    context = deployment_context(settings, loaded.file)
    with active_stack(stack_id(settings, scheduled=True, file=loaded.file)):
        subjects = [active_stack_subject(settings)]
        for own, spec in pipelines(settings).values():
            subjects += deployment_subjects(replace(context, settings=own), spec)
    dags, problems = dag_subjects(settings)
    subjects += dags
    policies = load_policies()
    waivers = load_waivers(policies)
    known = {subject_name(facts) for facts in subjects}
    problems += expired(waivers, day)
    problems += [
        f"the waiver of {waiver.policy!r} is about {waiver.subject!r}, which does not exist: remove it"
        for waiver in waivers
        if waiver.subject not in known and not waiver.subject.startswith("model_version:")
        if not waiver.environments or settings.environment in waiver.environments
    ]
    return judge(subjects, settings.environment, policies=policies, waivers=waivers, today=day), problems


def dag_subjects(settings: Settings) -> tuple[list[Subject], list[str]]:
    """The DAGs and tasks of an environment's DAG files, and a sentence for each file that cannot be parsed."""
    from airflow.dag_processing.importers.python_importer import PythonDagImporter

    from zenml_mlops.enforcement.cluster_policies import describe_dag, describe_task

    subjects: list[Subject] = []
    problems = []
    importer = PythonDagImporter()
    for path in sorted(settings.dags_dir.rglob("*.py")):
        found = importer.import_file(path, bundle_path=settings.dags_dir, safe_mode=True)
        problems += [f"{path.name}: {error.message}" for error in found.errors]
        for dag in found.dags:
            dag.fileloc = dag.fileloc or str(path)
            subjects.append(describe_dag(dag))
            subjects += [describe_task(task) for task in dag.tasks]
    return subjects, problems


def deployment_facts(context: DeploymentContext, pipeline: str) -> DeploymentFacts:
    """What a deployment of a pipeline would be made from: commit, image, dependency lock, platform."""
    airflow = context.settings.airflow
    return DeploymentFacts(
        pipeline=pipeline,
        **context.made.model_dump(),
        needs_image=airflow.launcher.needs_image,
        image_lock_digest=airflow.image_lock_digest,
        running=context.made.platform,
    )


def _defaults(settings: Settings) -> dict[str, Any]:
    from zenml_airflow.deploy.deploy import task_defaults

    return task_defaults(settings).model_dump(mode="json")
