"""A good stack file, and what is made of it."""

GOOD = """name: lab
variables: [MLFLOW_PASSWORD]
secrets:
  mlflow: {password: "env://MLFLOW_PASSWORD", username: "env://MLFLOW_PASSWORD"}
flavors:
  orchestrator: [zenml_airflow.deploy.flavor.ManifestAirflowOrchestratorFlavor]
components:
  orchestrator:
    airflow: {flavor: zenml_airflow, config: {local: false}}
  artifact_store:
    artifacts: {flavor: s3, config: {path: s3://b/a, s3_additional_kwargs: {ServerSideEncryption: AES256}}}
  container_registry:
    images: {flavor: aws, config: {uri: 1.dkr.ecr.eu-west-1.amazonaws.com}}
  experiment_tracker:
    mlflow:
      flavor: mlflow
      config:
        tracking_uri: "https://mlflow.example.com"
        tracking_username: "secret://mlflow/username"
        tracking_password: "secret://mlflow/password"
stacks:
  lab: {orchestrator: airflow, artifact_store: artifacts, container_registry: images, experiment_tracker: mlflow}
scheduled: lab
airflow:
  executor: CeleryExecutor
  pools:
    training: {slots: 2}
  bundle: {kind: git, tracking_ref: main, connection: git_dags}
settings:
  resources: {cpu_count: 1, memory: 2GiB}
policies: {minimum: dry_run, weaker: {model-card: dry_run}}
"""

GOOGLE = (
    (
        "{flavor: s3, config: {path: s3://b/a, s3_additional_kwargs: {ServerSideEncryption: AES256}}}",
        "{flavor: gcp, config: {path: gs://b}}",
    ),
)
"""The change of the good file that another flavor of the artifact store is."""


def broken(folder, old, new):
    """The good file with one thing changed, which must be there."""
    assert old in GOOD
    (folder / "other.yaml").write_text("extends: lab.yaml\n")
    path = folder / "lab.yaml"
    path.write_text(GOOD.replace(old, new, 1))
    return path
