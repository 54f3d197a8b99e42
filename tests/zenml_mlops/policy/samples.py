"""One description for each policy that keeps it, and one that breaks it in one place."""

from zenml_mlops.policy.facts import (
    BundleFacts,
    ComponentFacts,
    DagFacts,
    DeploymentFacts,
    ModelFacts,
    ModelVersionFacts,
    OutputFacts,
    PipelineFacts,
    StackFacts,
    StepFacts,
    TaskFacts,
)

DIGEST = "registry.example/steps@sha256:" + "a" * 64
SAFE = "zenml_mlops.materializers.SkopsMaterializer"
STEP = StepFacts(
    name="train",
    cached=False,
    timeout_seconds=600,
    retries=1,
    cpu_count=2,
    memory_bytes=2**30,
    gpu_count=0,
    image=DIGEST,
    outputs=(OutputFacts(name="risk_model", artifact_type="ModelArtifact", materializers=(SAFE,)),),
)
PIPELINE = PipelineFacts(
    name="scoring",
    labels={"owner": "data-science", "purpose": "Score.", "data_classification": "internal"},
    tags=("team:data-science", "kind:batch-inference", "data:internal"),
    models=(ModelFacts(name="risk", tags=("data:internal",)),),
    guarded=True,
    steps=(STEP,),
)
DEPLOYMENT = DeploymentFacts(
    pipeline="scoring",
    commit="c" * 40,
    dirty=False,
    image=DIGEST,
    needs_image=True,
    lock="d" * 64,
    image_lock_digest="d" * 64,
    platform={"zenml-airflow-mlops": "0.1.0"},
    running={"zenml-airflow-mlops": "0.1.0"},
)
STORE = ComponentFacts(
    kind="artifact_store", name="bucket", flavor="s3", location="s3://ml-staging/artifacts", encrypted=True
)
STACK = StackFacts(
    name="staging",
    environment="staging",
    used_for="staging",
    components=(
        STORE,
        ComponentFacts(kind="orchestrator", name="airflow", flavor="zenml_airflow"),
        ComponentFacts(kind="experiment_tracker", name="mlflow", flavor="mlflow"),
        ComponentFacts(kind="container_registry", name="registry", flavor="aws"),
    ),
)
DAG = DagFacts(
    name="nightly",
    owner="ml-platform",
    tags=("scoring",),
    max_active_runs=4,
    limits_runs=True,
    states_catchup=True,
    failure_callback=True,
    schedule="0 0 * * *",
    interval_seconds=86400,
)
TASK = TaskFacts(
    dag="nightly",
    name="scoring.load",
    operator="zenml_airflow.operators.local.ZenMLInProcessOperator",
    limit_seconds=600,
)
VERSION = ModelVersionFacts(
    name="risk",
    version=3,
    target="production",
    run_status="completed",
    gates={"skill": True},
    has_card=True,
    data_digest="e" * 64,
    commit="c" * 40,
    dirty=False,
    environment="staging",
    approved_by="dr.who",
)
IMPORTED = VERSION.model_copy(
    update={"imported_from": "staging (https://zenml.example)", "signed_by": "release", "approval_imported": True}
)
BUNDLE = BundleFacts(
    name="risk",
    version=3,
    environment="staging",
    signed_by="release",
    run_status="completed",
    gates={"skill": True},
)
GOOD = (PIPELINE, DEPLOYMENT, STACK, DAG, TASK, VERSION, BUNDLE)


def but(facts, **changes):
    return facts.model_copy(update=changes)


def with_step(**changes):
    return but(PIPELINE, steps=(but(STEP, **changes),))


def with_output(**changes):
    return with_step(outputs=(but(STEP.outputs[0], **changes),))


def with_store(**changes):
    return but(STACK, components=(but(STORE, **changes), *STACK.components[1:]))


BROKEN = [
    ("pipeline-labels", but(PIPELINE, labels={**PIPELINE.labels, "owner": " "}), "has no owner"),
    ("pipeline-labels", but(PIPELINE, labels={**PIPELINE.labels, "data_classification": "x"}), "is 'x'"),
    ("required-tags", but(PIPELINE, tags=("team:a", "data:b", "kind-of")), "no tag 'kind:'"),
    ("required-tags", but(PIPELINE, models=(ModelFacts(name="risk"),)), "model 'risk' has no tag"),
    ("names-match", but(PIPELINE, name="Scoring-2"), "'Scoring-2' does not match"),
    ("model-artifacts-safe", with_output(artifact_type=None), "not declared as one"),
    ("model-artifacts-safe", with_output(name="output_0"), "without a name"),
    ("model-artifacts-safe", with_output(materializers=()), "stored by ZenML's default"),
    ("model-artifacts-safe", with_output(materializers=("evil.CloudpickleMaterializer",)), "stored by evil"),
    ("step-limits", with_step(timeout_seconds=None), "has no time limit"),
    ("step-limits", with_step(timeout_seconds=10**6), "may run 1000000 s"),
    ("step-limits", with_step(retries=None), "does not set retries"),
    ("step-limits", with_step(gate=True), "gate 'train' is retried 1 times, at most 0"),
    ("resource-limits", with_step(memory_bytes=2**40), "bytes of memory"),
    ("resource-limits", with_step(gpu_count=9), "asks for 9 GPUs"),
    ("uncached-scoring", with_step(cached=True), "may be cached"),
    ("guarded-start", but(PIPELINE, guarded=False), "run-start guard"),
    ("step-images-by-digest", with_step(image="steps:latest"), "without a digest"),
    ("image-by-digest", but(DEPLOYMENT, image="steps:latest"), "without a digest"),
    ("image-by-digest", but(DEPLOYMENT, image=None), "no image is configured"),
    ("clean-commit", but(DEPLOYMENT, dirty=True), "differs from commit cccccccccccc"),
    ("clean-commit", but(DEPLOYMENT, commit=None), "outside a Git repository"),
    ("lock-unchanged", but(DEPLOYMENT, image_lock_digest="f" * 64), "build the image again"),
    ("lock-unchanged", but(DEPLOYMENT, image_lock_digest=None), "does not say which dependency lock"),
    ("lock-unchanged", but(DEPLOYMENT, lock=None), "no dependency lock"),
    ("platform-unchanged", but(DEPLOYMENT, running={"zenml-airflow-mlops": "0.2.0"}), "0.2.0 is installed here"),
    ("platform-unchanged", but(DEPLOYMENT, running={}), "none is installed here"),
    ("stack-of-environment", but(STACK, environment="local"), "registered for environment 'local'"),
    ("stack-of-environment", but(STACK, environment=None), "labels name no environment"),
    ("stack-components", but(STACK, components=STACK.components[:-1]), "has no container_registry"),
    ("stack-components", with_store(flavor="local"), "of flavor 'local'"),
    ("artifact-store-protected", with_store(encrypted=None), "does not say that it encrypts"),
    ("artifact-store-protected", with_store(location="/mnt/share"), "lies at '/mnt/share'"),
    ("no-local-component", with_store(local=True), "on one machine"),
    ("dag-owner", but(DAG, owner="airflow"), "owner is 'airflow'"),
    ("dag-tags", but(DAG, tags=()), "has 0 tags"),
    ("dag-active-runs", but(DAG, limits_runs=False), "does not say max_active_runs"),
    ("dag-active-runs", but(DAG, max_active_runs=100), "100 active runs"),
    ("dag-catchup", but(DAG, states_catchup=False), "does not say catchup"),
    ("dag-callbacks", but(DAG, failure_callback=False), "no on_failure_callback"),
    ("dag-schedule", but(DAG, interval_seconds=60, schedule="* * * * *"), "every 60 s"),
    (
        "task-operator",
        but(TASK, operator="airflow.providers.standard.operators.bash.BashOperator"),
        "BashOperator",
    ),
    ("task-operator", but(TASK, pool="fast_lane"), "pool 'fast_lane'"),
    ("task-operator", but(TASK, text="python -m zenml_airflow.runtime.entrypoint"), "itself"),
    ("task-limit", but(TASK, limit_seconds=None), "no execution_timeout"),
    ("model-gates", but(VERSION, gates={"skill": True, "calibration": False}), "['calibration'] failed"),
    ("model-gates", but(VERSION, gates={}), "no gate results"),
    ("model-gates", but(VERSION, run_status="failed"), "is failed, not completed"),
    ("model-card", but(VERSION, has_card=False), "no model card"),
    ("model-data-digest", but(VERSION, data_digest=None), "digest of its training data"),
    ("model-commit", but(VERSION, dirty=True), "differs from commit"),
    ("model-environment", but(VERSION, environment="local"), "environment 'local'"),
    ("model-approval", but(VERSION, approved_by=None), "nobody has approved it for production"),
    ("model-gates", but(IMPORTED, local_gates={"skill": False}), "['skill'] of this server failed"),
    ("model-import", but(IMPORTED, signed_by=None), "without a signature"),
    ("bundle-signature", but(BUNDLE, signed_by=None), "is not signed"),
    ("bundle-gates", but(BUNDLE, gates={"skill": False}), "['skill'] failed"),
    ("bundle-gates", but(BUNDLE, gates={}), "no gate results"),
    ("bundle-gates", but(BUNDLE, run_status="failed"), "is failed, not completed"),
    ("bundle-gates", but(BUNDLE, run_status=None), "no run that trained"),
    ("bundle-source", but(BUNDLE, environment="local"), "environment 'local'"),
]
"""Policy, a description that breaks it and nothing else in production, and what the verdict says."""
