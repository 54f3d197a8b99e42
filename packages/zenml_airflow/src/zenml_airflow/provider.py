"""What Airflow asks an installed provider about itself.

Airflow's API server builds the connection form from this, without importing the hook.
"""

from __future__ import annotations

from typing import Any

from zenml_airflow.contracts.provenance import DISTRIBUTION


def get_provider_info() -> dict[str, Any]:
    """Describe the provider; ``airflow/provider_info.schema.json`` is the form."""
    name = "ZenML"
    return {
        "package-name": DISTRIBUTION,
        "name": name,
        "description": "Runs ZenML pipelines as Airflow tasks, and waits for their runs and model versions.",
        "integrations": [
            {"integration-name": name, "external-doc-url": "https://docs.zenml.io/", "tags": ["software"]}
        ],
        "operators": [
            {
                "integration-name": name,
                "python-modules": [
                    *_modules("operators", "local", "shards", "docker", "kubernetes"),
                    *_modules("promotion", "approval", "tasks"),
                ],
            }
        ],
        "sensors": [
            {"integration-name": name, "python-modules": _modules("sensors", "partition", "zenml", "candidate")}
        ],
        "hooks": [{"integration-name": name, "python-modules": _modules("hooks", "zenml")}],
        "triggers": [
            {
                "integration-name": name,
                "python-modules": [
                    *_modules("sensors", "partition", "triggers", "candidate"),
                    *_modules("promotion", "approval"),
                ],
            }
        ],
        "extra-links": ["zenml_airflow.links.links.ZenMLRunLink", "zenml_airflow.links.links.MLflowRunLink"],
        "connection-types": [
            {
                "connection-type": "zenml",
                "hook-class-name": "zenml_airflow.hooks.zenml.ZenMLHook",
                "hook-name": name,
                "conn-fields": _connection_fields(),
                "ui-field-behaviour": {
                    "hidden-fields": ["login", "schema", "port", "extra"],
                    "relabeling": {"host": "Server URL", "password": "API key"},
                    "placeholders": {
                        "host": "https://zenml.example.com",
                        "password": "ZENKEY_… of a service account",
                        "project_id": "00000000-0000-0000-0000-000000000000",
                        "ca_bundle": "/etc/ssl/certs/company.pem",
                    },
                },
            }
        ],
    }


def _modules(room: str, *names: str) -> list[str]:
    return [f"zenml_airflow.{room}.{name}" for name in names]


def _connection_fields() -> dict[str, Any]:
    """The fields of :class:`~zenml_airflow.client.api.ServerExtra`, as the form shows them."""
    return {
        "verify_ssl": {
            "label": "Verify certificate",
            "description": "Whether the certificate of the server is checked.",
            "schema": {"type": ["boolean", "null"], "default": True},
        },
        "ca_bundle": {
            "label": "CA bundle",
            "description": "File on the workers with the certificates to trust; the system's own by default.",
            "schema": {"type": ["string", "null"]},
        },
        "project_id": {
            "label": "Project id",
            "description": "Id of the ZenML project; the server's default project if empty.",
            "schema": {"type": ["string", "null"]},
        },
    }
