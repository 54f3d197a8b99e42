"""What the service counts, in the OpenMetrics format; no label holds anything that a client sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

from zenml_mlops.serving.loaded_version import LoadedVersion, Prediction

PREFIX: Final = "zenml_serving"
CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_SECONDS: Final = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10)
_ROWS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class Metrics:
    """The metrics of one service."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(f"{PREFIX}_requests", "Requests answered.", ("route", "status"), registry=registry)
        self.seconds = Histogram(
            f"{PREFIX}_request_seconds",
            "Time from a request's headers to its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.rows = Counter(f"{PREFIX}_rows", "Rows scored.", ("version", "decision"), registry=registry)
        self.unknown = Counter(
            f"{PREFIX}_unknown_categories",
            "Values whose category was not in the training data.",
            ("version", "column"),
            registry=registry,
        )
        self.call_rows = Histogram(
            f"{PREFIX}_call_rows", "Rows of one call of the model.", buckets=_ROWS, registry=registry
        )
        self.waiting_rows = Gauge(f"{PREFIX}_waiting_rows", "Rows waiting for the model.", registry=registry)
        self._model = Gauge(
            f"{PREFIX}_model",
            "1 for the version that answers.",
            ("model", "version", "version_id"),
            registry=registry,
        )
        self._loaded = Gauge(
            f"{PREFIX}_model_loaded_time_seconds", "When that version was loaded.", registry=registry
        )
        self.switches = Counter(f"{PREFIX}_switches", "Versions loaded.", ("result",), registry=registry)
        for result in ("success", "failure"):
            self.switches.labels(result)
        self.problem = Gauge(
            f"{PREFIX}_problem",
            "1 while the version in the stage cannot be determined or loaded.",
            registry=registry,
        )
        self.checked = Gauge(
            f"{PREFIX}_last_check_time_seconds",
            "When the version in the stage was last checked.",
            registry=registry,
        )

    def answering(self, loaded: LoadedVersion | None) -> None:
        """Take note of the version that answers from now on."""
        self._model.clear()
        if loaded is not None:
            version = loaded.version
            self._model.labels(version.name, str(version.version), str(version.version_id)).set(1)
            self._loaded.set(loaded.loaded_at.timestamp())

    def scored(self, loaded: LoadedVersion, predictions: Iterable[Prediction]) -> None:
        """Count the rows of an answer."""
        version = str(loaded.version.version)
        for prediction in predictions:
            self.rows.labels(version, prediction.decision.value).inc()
            for column in prediction.unknown_categories:
                self.unknown.labels(version, column).inc()

    def render(self) -> bytes:
        """The page that Prometheus reads."""
        page: bytes = generate_latest(self._registry)  # type: ignore[no-untyped-call]
        return page
