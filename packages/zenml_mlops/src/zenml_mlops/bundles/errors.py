"""How a bundle is refused."""

from __future__ import annotations


class BundleRefusedError(RuntimeError):
    """A bundle is not written or not let in. The message says why and what to do."""


class TamperedError(BundleRefusedError):
    """A bundle is not what was exported. Nothing was changed."""


class UnknownSignerError(BundleRefusedError):
    """A bundle is signed by somebody whom this server does not know. Nothing was changed."""


class AlreadyImportedError(BundleRefusedError):
    """The version of a bundle is here already. Nothing was changed."""
