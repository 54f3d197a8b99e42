"""ZenML pipelines on Airflow: the bridge between the two."""

from zenml_airflow.runtime.zenml_files import replace_zenml_files_whole

# Here, since every process that works with ZenML for Airflow comes through here, and before ZenML does.
replace_zenml_files_whole()
