"""The materializers that pipelines may name in their steps."""

from governance.materializers import (
    CorruptArtifactError,
    ParquetMaterializer,
    SkopsMaterializer,
    UntrustedTypeError,
)

__all__ = ["CorruptArtifactError", "ParquetMaterializer", "SkopsMaterializer", "UntrustedTypeError"]
