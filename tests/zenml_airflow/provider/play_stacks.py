"""Runs the stack commands against the ZenML server that this process's variables name; prints what each said."""

import json

from typer.testing import CliRunner

from zenml_mlops.environment.process import enter

enter("staging")

from zenml.client import Client  # noqa: E402
from zenml.enums import StoreType  # noqa: E402

from zenml_mlops.cli.app import app  # noqa: E402

STORE = "artifact_store"
client = Client()
assert client.zen_store.type == StoreType.REST
said = {}


def stack(key, command):
    result = CliRunner().invoke(app, ["stack", command, "staging"])
    said[key] = {"exit": result.exit_code, "output": result.output}


stack("unresolved", "plan")
client.create_secret("mlflow", {"username": "somebody"})
stack("first plan", "plan")
stack("apply", "apply")
stack("second plan", "plan")
store = client.get_stack_component(STORE, "artifacts")
client.update_stack_component(store.id, STORE, configuration={"path": "s3://elsewhere/artifacts"})
stack("diff", "diff")
stack("repair", "apply")
stack("third plan", "plan")
said["path"] = client.get_stack_component(STORE, "artifacts").configuration["path"]
said["parts"] = sorted(kind.value for kind in client.get_stack("staging").components)
said["password"] = client.get_secret("mlflow").secret_values["password"]
print(json.dumps(said))
