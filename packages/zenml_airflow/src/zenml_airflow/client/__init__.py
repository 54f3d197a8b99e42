"""A ZenML server over HTTP, for pages and sensors: neither ZenML nor Airflow is imported."""
