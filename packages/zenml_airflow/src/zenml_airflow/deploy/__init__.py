"""From a pipeline to a snapshot and its manifest: it works without Airflow."""
