"""Materializers that run no code when an artifact is loaded.

ZenML's defaults store estimators with cloudpickle, and unpickling runs whatever the file says. Here
estimators are stored with skops, which rebuilds objects of audited types only, and frames as Parquet with a
digest.

Neither class registers itself as the default of its type: a step names it (``output_materializers=``), so
that importing this module changes nothing for other steps.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import PurePosixPath
from typing import Any, ClassVar

import pandas as pd
from sklearn.base import BaseEstimator
from zenml.enums import ArtifactType, VisualizationType
from zenml.materializers.base_materializer import BaseMaterializer
from zenml.metadata.metadata_types import MetadataType


class UntrustedTypeError(TypeError):
    """A stored estimator holds types that nobody vouched for."""


class CorruptArtifactError(RuntimeError):
    """A stored artifact is not what was saved."""


class _DigestMaterializer(BaseMaterializer):
    """Stores one file and its sha256; refuses to load a file that changed since."""

    SKIP_REGISTRATION: ClassVar[bool] = True
    FILE: ClassVar[str] = ""

    def _write(self, payload: bytes) -> None:
        digest = hashlib.sha256(payload).hexdigest()
        with self.artifact_store.open(self._path(self.FILE), "wb") as file:
            file.write(payload)
        with self.artifact_store.open(self._path(f"{self.FILE}.sha256"), "w") as file:
            file.write(digest)

    def _read(self) -> bytes:
        with self.artifact_store.open(self._path(self.FILE), "rb") as file:
            payload = bytes(file.read())
        with self.artifact_store.open(self._path(f"{self.FILE}.sha256"), "r") as file:
            expected = str(file.read()).strip()
        found = hashlib.sha256(payload).hexdigest()
        if found != expected:
            raise CorruptArtifactError(
                f"The artifact file {self.FILE} has sha256 {found}, recorded when it was saved: {expected}. It "
                "was changed or cut off afterwards; run the step that produces it again."
            )
        return payload

    def _path(self, name: str) -> str:
        return f"{self.uri.rstrip('/')}/{PurePosixPath(name)}"


class SkopsMaterializer(_DigestMaterializer):
    """Stores scikit-learn estimators with skops.

    A subclass vouches for further types by naming them in ``TRUSTED_TYPES``. Vouch for a type only if
    building it and setting its attributes is harmless.
    """

    SKIP_REGISTRATION: ClassVar[bool] = True
    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (BaseEstimator,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.MODEL
    FILE: ClassVar[str] = "model.skops"

    # The trees of histogram gradient boosting: an array of nodes and two bitsets, no behaviour of their own.
    BASE_TRUSTED_TYPES: ClassVar[frozenset[str]] = frozenset(
        {"sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"}
    )
    TRUSTED_TYPES: ClassVar[frozenset[str]] = frozenset()

    def save(self, data: Any) -> None:
        """Store an estimator; refuses one that could not be loaded again.

        Raises:
            UntrustedTypeError: If it holds types that are not trusted.
        """
        import skops.io

        payload = bytes(skops.io.dumps(data))
        self.audit(payload)
        self._write(payload)

    def load(self, data_type: type[Any]) -> Any:
        """Load an estimator.

        Raises:
            CorruptArtifactError: If the file changed since it was saved.
            UntrustedTypeError: If it holds types that are not trusted.
        """
        import skops.io

        payload = self._read()
        self.audit(payload)
        trusted = sorted(self.BASE_TRUSTED_TYPES | self.TRUSTED_TYPES)
        model = skops.io.loads(payload, trusted=trusted)
        if not isinstance(model, data_type):
            raise UntrustedTypeError(f"The artifact holds a {type(model).__name__}, not a {data_type.__name__}.")
        return model

    def extract_metadata(self, data: Any) -> dict[str, MetadataType]:
        """Record the class of the estimator and the versions that wrote it."""
        import sklearn
        import skops

        return {
            "estimator": type(data).__name__,
            "scikit_learn": str(sklearn.__version__),
            "skops": str(skops.__version__),
        }

    @classmethod
    def audit(cls, payload: bytes) -> None:
        """Look at the types that a stored estimator names, without loading it.

        Raises:
            UntrustedTypeError: If one of them is not trusted.
        """
        import skops.io

        untrusted = set(skops.io.get_untrusted_types(data=payload)) - cls.BASE_TRUSTED_TYPES - cls.TRUSTED_TYPES
        if untrusted:
            raise UntrustedTypeError(
                f"The estimator holds types that {cls.__name__} does not trust: {sorted(untrusted)}. Use stock "
                "scikit-learn parts, or vouch for the type in a subclass's TRUSTED_TYPES after reading its "
                "code."
            )


class ParquetMaterializer(_DigestMaterializer):
    """Stores a pandas frame as Parquet (zstd) with its digest.

    Unlike ZenML's own pandas materializer it does not gzip (seconds per 100,000 rows) and checks what it
    loads.
    """

    SKIP_REGISTRATION: ClassVar[bool] = True
    ASSOCIATED_TYPES: ClassVar[tuple[type[Any], ...]] = (pd.DataFrame,)
    ASSOCIATED_ARTIFACT_TYPE: ClassVar[ArtifactType] = ArtifactType.DATA
    FILE: ClassVar[str] = "data.parquet"

    def save(self, data: pd.DataFrame) -> None:
        """Store a frame."""
        buffer = io.BytesIO()
        data.to_parquet(buffer, compression="zstd")
        self._write(buffer.getvalue())

    def load(self, data_type: type[Any]) -> pd.DataFrame:  # noqa: ARG002 - ZenML's signature
        """Load a frame.

        Raises:
            CorruptArtifactError: If the file changed since it was saved.
        """
        return pd.read_parquet(io.BytesIO(self._read()), use_threads=False)

    def extract_metadata(self, data: pd.DataFrame) -> dict[str, MetadataType]:
        """Record shape and column types."""
        return {"rows": len(data), "columns": {str(name): str(dtype) for name, dtype in data.dtypes.items()}}

    def save_visualizations(self, data: pd.DataFrame) -> dict[str, VisualizationType]:  # noqa: ARG002
        """None: a summary of records of persons does not belong into a dashboard by default."""
        return {}
