"""Placeholder until the real links are written."""

from airflow.sdk import BaseOperatorLink


class ZenMLRunLink(BaseOperatorLink):
    name = "ZenML run"

    def get_link(self, operator, *, ti_key):
        return ""


class MLflowRunLink(BaseOperatorLink):
    name = "MLflow run"

    def get_link(self, operator, *, ti_key):
        return ""
