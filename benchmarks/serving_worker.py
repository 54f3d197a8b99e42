"""``python -m benchmarks.serving_worker FOLDER``: the service in a process of its own, on the model in a folder.

The application, the server and the scoring are those of ``mlops serve``; the model comes from a file and not from
ZenML, which a request does not ask anyway. Prints the port, then serves until SIGTERM.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

MODEL_FILE = "model.joblib"
PLENTY = 10**9
"""A rate that stops nobody."""


class OneVersion:
    """A stage in which one version stays."""

    def __init__(self, loaded: Any) -> None:
        self._loaded = loaded

    def champion_id(self) -> UUID:
        """Its id."""
        return self._loaded.version.version_id  # type: ignore[no-any-return]

    def load(self) -> Any:
        """The version, loaded already."""
        return self._loaded


def main() -> None:
    """Serve."""
    import joblib

    from zenml_airflow.settings.project import load_settings
    from zenml_mlops.inference.champion import ScoringVersion
    from zenml_mlops.serving.app import Service, create_app
    from zenml_mlops.serving.config import RateRules, build_serving_config
    from zenml_mlops.serving.loaded_version import LoadedVersion
    from zenml_mlops.serving.metrics import Metrics
    from zenml_mlops.serving.records import LOGGER, EventLog, JsonFormatter
    from zenml_mlops.serving.server import build_server, listen, run
    from zenml_mlops.serving.switch import ModelSwitch
    from zenml_pipelines.use_case.contract import CONTRACT
    from zenml_pipelines.use_case.features import GROUPING

    config = build_serving_config(load_settings().model_dump(), port=0).model_copy(
        update={"rate": RateRules(per_second=PLENTY, burst=PLENTY, most_clients=10)}
    )
    champion = ScoringVersion(
        model_name=config.model_name,
        version=1,
        version_id=UUID(int=1),
        model_artifact_id=UUID(int=2),
        contract=CONTRACT,
        training_run_id=None,
    )
    loaded = LoadedVersion.of(
        champion,
        joblib.load(Path(sys.argv[1]) / MODEL_FILE),
        GROUPING,
        threshold=config.decision_threshold,
        most_rows=config.most_rows,
    )
    # Each request writes its line, as in production.
    logger = logging.getLogger(LOGGER)
    handler = logging.FileHandler(Path(sys.argv[1]) / "service.log")
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    metrics, log = Metrics(), EventLog()
    switch = ModelSwitch(OneVersion(loaded), config.poll_seconds, metrics, log)
    switch.load_first()
    server = build_server(create_app(Service(config, switch, metrics, log)), config)
    with listen(config) as listener:
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        run(server, listener)


if __name__ == "__main__":
    main()
