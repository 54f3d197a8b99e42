"""Makes and changes model versions in the lab's ZenML store, told by lines of JSON; answers each with a line."""

import json
import sys

from zenml_mlops.environment.process import enter

enter("local")

from labs.version_bench import make_versions, stages  # noqa: E402
from zenml import log_metadata  # noqa: E402
from zenml.client import Client  # noqa: E402
from zenml.models import ModelVersionArtifactRequest  # noqa: E402

from zenml_airflow.contracts.model_records import approvals  # noqa: E402
from zenml_mlops import promotion  # noqa: E402
from zenml_mlops.promotion.versions import model_artifacts  # noqa: E402


def make(model, *planned):
    """A model with a version for each verdict; one that is `no gates` has not passed its gates."""
    make_versions(model, *(verdict != "no gates" for verdict in planned))
    for number, verdict in enumerate(planned, start=1):
        log_metadata(metadata={"planned": verdict}, model_version_id=Client().get_model_version(model, number).id)


def add(model, verdict):
    """One more version, with the model artifact of the last one."""
    client = Client()
    last = next(iter(client.list_model_versions(model=model, sort_by="desc:number").items))
    artifact = model_artifacts(last)[0]
    version = client.create_model_version(model_name_or_id=model)
    client.zen_store.create_model_version_artifact_link(
        ModelVersionArtifactRequest(model_version=version.id, artifact_version=artifact.id)
    )
    log_metadata(metadata={"planned": verdict}, model_version_id=version.id)
    return int(version.number)


def promote(model, version):
    promotion.promote(model, version, environment="local", actor="user:command", reason="By command.")


def state(model):
    """Stages, decisions and history of a model."""
    found = Client().list_model_versions(model=model, sort_by="asc:number", hydrate=True).items
    return {
        "stages": stages(model),
        "decisions": [
            [int(v.number), a.approved, a.by, a.reason, a.links] for v in found for a in approvals(v.run_metadata)
        ],
        "history": [
            {"version": r.plan.version, "by": r.plan.actor, "why": r.plan.reason, "links": r.plan.links}
            for r in promotion.history(model)
        ],
    }


COMMANDS = {function.__name__: function for function in (make, add, promote, state)}

if __name__ == "__main__":
    print("ready", flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps({"answer": COMMANDS[name](*arguments)}), flush=True)
