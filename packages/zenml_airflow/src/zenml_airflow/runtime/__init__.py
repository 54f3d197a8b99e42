"""The process that steps run in: it works without Airflow."""
