"""How a change of stages ends that does not happen, or not wholly."""

from __future__ import annotations


class PromotionRefusedError(RuntimeError):
    """A version may not enter the stage. The message says why and what to do; nothing was changed."""


class NothingToRollBackToError(PromotionRefusedError):
    """No earlier version may come back into the stage."""


class TransitionError(RuntimeError):
    """A change that had begun has stopped. The message says what is changed, what is not, and the way out."""
