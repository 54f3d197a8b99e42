"""Median and spread, the way every table of the report shows them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """Median, least and greatest of n numbers."""

    n: int
    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary:
        """Summarize.

        Raises:
            ValueError: If there is nothing to summarize.
        """
        if not values:
            raise ValueError("No measurement: nothing to summarize.")
        return cls(len(values), statistics.median(values), min(values), max(values))

    def show(self, digits: int = 1, unit: str = "") -> str:
        """Render as ``median unit (least to greatest)``."""
        middle = f"{self.median:.{digits}f}{unit}"
        if self.n == 1:
            return middle
        return f"{middle} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> Summary:
    """Ratio of two series that were measured in turns, pair by pair: drift of the machine hits both of a pair."""
    return Summary.of([above / below for above, below in zip(numerators, denominators, strict=True)])
