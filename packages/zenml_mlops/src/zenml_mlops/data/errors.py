"""The one error class of data access: a sentence for the person who can fix it."""

from __future__ import annotations


class DataError(RuntimeError):
    """The data is missing, is not what it claims to be, or was asked for in a way that cannot be served."""
