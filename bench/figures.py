"""The result of a measurement."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One number. `baseline`, if any, is for comparison: a lower bound, an empty app, a smaller size."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    against: str = ""

    @property
    def ratio(self) -> float | None:
        """`value` as a multiple of the baseline."""
        return round(self.value / self.baseline, 2) if self.baseline else None

    def line(self) -> str:
        """Return the figure as JSON."""
        return json.dumps(
            {
                "name": self.name,
                "value": round(self.value, 4),
                "unit": self.unit,
                "baseline": round(self.baseline, 4) if self.baseline is not None else None,
                "against": self.against,
                "ratio": self.ratio,
            }
        )


def median(values: Sequence[float]) -> float:
    """Return the median, which one slow run does not change."""
    return statistics.median(values)
