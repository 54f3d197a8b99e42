"""Bundles: how a model version travels from one ZenML server to another, and what is believed of it there."""

from zenml_mlops.bundles.errors import AlreadyImportedError, BundleRefusedError, TamperedError, UnknownSignerError
from zenml_mlops.bundles.exporting import ExportResult, export_bundle
from zenml_mlops.bundles.importing import ImportResult, import_bundle
from zenml_mlops.bundles.verification import Rules

__all__ = [
    "AlreadyImportedError",
    "BundleRefusedError",
    "ExportResult",
    "ImportResult",
    "Rules",
    "TamperedError",
    "UnknownSignerError",
    "export_bundle",
    "import_bundle",
]
