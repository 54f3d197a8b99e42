import shutil

import pytest
from labs import ROOT

from zenml_airflow.settings.project import SettingsError, every_use_case, load_settings


@pytest.fixture
def project(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    monkeypatch.setenv("MLOPS_PROJECT_ROOT", str(tmp_path))
    monkeypatch.delenv("MLOPS_STATE_DIR")
    monkeypatch.delenv("MLOPS_DAGS_DIR", raising=False)
    return tmp_path


def write(project, text):
    (project / "configs" / "lab.yaml").write_text(text)


def test_an_environment_overrides_key_by_key(project):
    write(project, "airflow:\n  retries: 5\n  schedules:\n    training: {cron: '0 5 * * 1'}\n")
    lab, local = load_settings("lab"), load_settings("local")
    assert lab.airflow.retries == 5
    assert lab.airflow.schedules["training"].cron == "0 5 * * 1"
    assert lab.airflow.schedules["batch_inference"].cron == local.airflow.schedules["batch_inference"].cron
    assert lab.state_dir == project / ".state"
    assert lab.dags_dir == project / "dags"


def test_the_process_environment_names_environment_state_and_ports(project, monkeypatch, tmp_path):
    write(project, "")
    monkeypatch.setenv("MLOPS_ENV", "lab")
    monkeypatch.setenv("MLOPS_STATE_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("MLOPS_DAGS_DIR", str(tmp_path / "other-dags"))
    monkeypatch.setenv("MLOPS_AIRFLOW_PORT", "9999")
    monkeypatch.setenv("MLOPS_MLFLOW_PORT", "9998")
    settings = load_settings()
    assert settings.environment == "lab"
    assert settings.storage_root == str(tmp_path / "elsewhere")
    assert settings.dags_dir == tmp_path / "other-dags"
    assert (settings.services.airflow_port, settings.services.mlflow_port) == (9999, 9998)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("airflow: {retires: 3}", "airflow.retires"),
        ("timezone: Mars/Olympus", "IANA"),
        ("airflow: {launcher: teleport}", "airflow.launcher"),
        ("airflow: {schedules: {training: {end_date: 2020-01-01}}}", "lies before start_date"),
        ("services: {airflow_port: 70000}", "services.airflow_port"),
        ("- a list", "must hold a mapping"),
        ("airflow: {promotion: {accept: [good]}}", "airflow.promotion.accept"),
        ("airflow: {promotion: {approval: {timeout_seconds: 0}}}", "approval.timeout_seconds"),
        ("airflow: {promotion: {approval: {approvers: {production: nobody}}}}", r"\['nobody'\] must approve"),
        ("a: [", "not valid YAML"),
    ],
)
def test_a_wrong_file_is_named_with_the_field(project, text, message):
    write(project, text)
    with pytest.raises(SettingsError, match=message):
        load_settings("lab")


def test_all_problems_are_listed_at_once(project):
    write(project, "airflow: {retires: 3, launcher: teleport}\ntimezone: Mars/Olympus")
    with pytest.raises(SettingsError) as error:
        load_settings("lab")
    assert all(name in str(error.value) for name in ("retires", "launcher", "timezone"))


@pytest.mark.parametrize("name", ["prod", "base", "../configs/local"])
def test_an_unknown_environment_lists_the_known_ones(project, name):
    with pytest.raises(SettingsError, match=r"Known: \['compose', 'local', 'production', 'staging'\]"):
        load_settings(name)


def test_a_folder_without_configs_is_no_project(monkeypatch, tmp_path):
    monkeypatch.setenv("MLOPS_PROJECT_ROOT", str(tmp_path))
    with pytest.raises(SettingsError, match="MLOPS_PROJECT_ROOT"):
        load_settings()


def test_an_unscheduled_pipeline_is_named(project):
    with pytest.raises(SettingsError, match="monitoring"):
        load_settings("local").schedule("monitoring")


def test_a_dag_file_in_a_bundle_reads_the_configuration_of_its_own_version(tmp_path, monkeypatch):
    monkeypatch.delenv("MLOPS_PROJECT_ROOT", raising=False)
    monkeypatch.setenv("MLOPS_STATE_DIR", str(tmp_path / "state"))
    for version, retries in (("v1", 3), ("v2", 7)):
        shutil.copytree(ROOT / "configs", tmp_path / version / "configs")
        (tmp_path / version / "configs" / "lab.yaml").write_text(f"airflow: {{retries: {retries}}}\n")
    found = {v: load_settings("lab", dag_file=tmp_path / v / "dags" / "a.py") for v in ("v1", "v2")}
    assert [found[v].airflow.retries for v in ("v1", "v2")] == [3, 7]
    assert found["v1"].manifests_dir == tmp_path / "v1" / "dags" / "manifests"
    assert found["v1"].state_dir == found["v2"].state_dir == tmp_path / "state"
    monkeypatch.setenv("MLOPS_PROJECT_ROOT", str(tmp_path / "v2"))
    assert load_settings("lab", dag_file=tmp_path / "v1" / "dags" / "a.py").airflow.retries == 7


def test_a_bundle_needs_a_state_folder_that_outlives_its_versions(tmp_path, monkeypatch):
    monkeypatch.delenv("MLOPS_PROJECT_ROOT", raising=False)
    monkeypatch.delenv("MLOPS_STATE_DIR")
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    with pytest.raises(SettingsError, match="MLOPS_STATE_DIR"):
        load_settings("local", dag_file=tmp_path / "dags" / "a.py")
    assert load_settings("local", dag_file=ROOT / "dags" / "a.py").state_dir == ROOT / ".state"


@pytest.fixture
def several(project):
    """The shipped use case, ``readmission``, and three further ones with names that begin alike."""
    for name in ("loan", "loan_default", "readmission_costs"):
        path = project / "configs" / "use_cases" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f"definition: zenml_pipelines.{name}:USE_CASE\n"
            "demo: {first_day: 2026-02-01}\ndata: {raw: raw/loans}\n"
            f"pipelines: {{training: {{model_name: {name}}}}}\n"
        )
    return project


def test_a_further_use_case_shares_the_environment_and_nothing_that_is_the_first_ones(several):
    first, loan = load_settings("local"), load_settings("local", use_case="loan")
    assert (loan.use_case, loan.definition) == ("loan", "zenml_pipelines.loan:USE_CASE")
    assert loan.airflow == first.airflow
    assert loan.pipelines == {"training": {"model_name": "loan"}}
    places = loan.storage.model_dump(exclude={"root", "audit"})
    assert places == {name: f"loan/{name}" for name in places}
    assert not set(places.values()) & set(first.storage.model_dump(exclude={"root", "audit"}).values())
    assert loan.storage.audit == first.storage.audit
    assert loan.section("loan_training") == loan.pipelines["training"]
    assert loan.deployed_digest("loan_training") != loan.deployed_digest("loan_monitoring")
    assert [one.use_case for one in every_use_case(loan)] == [
        "loan",
        "readmission",
        "loan_default",
        "readmission_costs",
    ]


def test_an_environment_changes_a_further_use_case_in_a_file_of_its_own(several):
    changed = several / "configs" / "use_cases" / "loan.local.yaml"
    changed.write_text("pipelines: {training: {seed: 7}}\nairflow: {schedules: {training: {cron: '0 4 * * *'}}}\n")
    loan, production = load_settings("local", use_case="loan"), load_settings("production", use_case="loan")
    assert loan.pipelines["training"] == {"model_name": "loan", "seed": 7}
    assert loan.airflow.schedules["training"].cron == "0 4 * * *"
    assert production.pipelines["training"] == {"model_name": "loan"}
    assert len(every_use_case(loan)) == 4


@pytest.mark.parametrize(
    ("dag_file", "use_case"),
    [
        ("loan_training.py", "loan"),
        ("loan_default_training.py", "loan_default"),
        ("readmission_training.py", "readmission"),
        ("readmission_costs_training.py", "readmission_costs"),
        ("zenml_maintenance.py", "readmission"),
    ],
)
def test_a_dag_file_is_of_the_use_case_that_its_name_begins_with(several, monkeypatch, dag_file, use_case):
    monkeypatch.setenv("MLOPS_USE_CASE", "loan")
    assert load_settings("local", dag_file=several / "dags" / dag_file).use_case == use_case
    assert load_settings("local").use_case == "loan"


def test_a_use_case_that_is_not_there_is_named_with_the_known_ones(several):
    with pytest.raises(SettingsError, match=r"'lone'.*'readmission', 'loan', 'loan_default'"):
        load_settings("local", use_case="lone")
