"""What a measurement comes to."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One number. `baseline` is what it is held against: a floor, an empty app, a smaller size; None: nothing."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    against: str = ""

    @property
    def ratio(self) -> float | None:
        """`value` in multiples of the baseline."""
        return round(self.value / self.baseline, 2) if self.baseline else None

    def line(self) -> str:
        """The figure as JSON."""
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
    """The middle one: one slow run is not what it takes."""
    return statistics.median(values)
