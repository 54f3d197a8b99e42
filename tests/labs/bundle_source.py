"""The server that a bundle comes from, in a process of its own: python bundle_source.py STORE JOBS.

JOBS is JSON, a list of exports: model, good (one flag for each version), version, folder, and optionally key,
environment, promote, approve, withdraw, hops. Prints the result of each as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

PACKAGES = ("governance", "zenml_mlops", "zenml_pipelines")
WHY = "Because the test asks for it."


def main(store: str, jobs: list[dict]) -> None:
    os.environ["ZENML_CONFIG_PATH"] = store
    os.environ["ZENML_LOCAL_STORES_PATH"] = f"{store}/stores"
    os.environ["MLOPS_AUDIT_LOG"] = f"{store}/log.jsonl"
    from zenml.client import Client

    from labs.version_bench import make_versions
    from zenml_mlops.bundles import BundleRefusedError, export_bundle
    from zenml_mlops.promotion import decide, promote, withdraw

    said = []
    for job in jobs:
        model, number = job["model"], job["version"]
        if not any(known.name == model for known in Client().list_models()):
            make_versions(model, *job["good"])
        if stage := job.get("promote"):
            promote(model, number, stage, reason=WHY)
        if by := job.get("approve"):
            decide(model, number, approved=True, reason=WHY, actor=by)
        if by := job.get("reject"):
            decide(model, number, approved=False, reason=WHY, actor=by)
        if job.get("withdraw"):
            withdraw(model, number, reason=WHY)
        key = job.get("key")
        try:
            done = export_bundle(
                model, number, job["folder"], key=Path(key) if key else None, packages=PACKAGES, reason=WHY
            )
        except BundleRefusedError as error:
            said.append({"error": str(error)})
        else:
            run = Client().list_pipeline_runs(sort_by="asc:created").items[0]
            server = str(Client().zen_store.get_store_info().id)
            said.append({**done.model_dump(mode="json"), "run": str(run.id), "server": server})
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
