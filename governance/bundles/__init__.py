"""Bundles: how a model version travels from one ZenML server to another, and what is believed of it there."""

from governance.bundles.errors import AlreadyImportedError, BundleRefusedError, TamperedError, UnknownSignerError
from governance.bundles.exporting import ExportResult, export_bundle
from governance.bundles.importing import ImportResult, import_bundle
from governance.bundles.verification import Rules

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
