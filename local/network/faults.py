"""Faults that a person or a test asks for through the control port, applied by the front."""

from dataclasses import dataclass
from enum import StrEnum


class Effect(StrEnum):
    """What happens to a request instead of, or after, being carried out."""

    STATUS = "status"  # answered with a status of the fault's choice
    RESET = "reset"  # its connection is reset
    HANG = "hang"  # never answered
    NONE = "none"  # carried out and answered; for a fault that only delays


@dataclass(slots=True)
class Fault:
    """Hits the next `times` requests whose line "METHOD https://host/path?query" contains `match`.

    `code` is the error code of the answer; None: the usual one of its status. `times` None: until it is removed.
    `delay_ms` passes first. `after`: the request is carried out, then its answer is lost to the effect. `hits` counts
    how often it struck.
    """

    match: str
    effect: Effect
    status: int = 503
    code: str | None = None
    times: int | None = 1
    delay_ms: int = 0
    after: bool = False
    hits: int = 0


class Faults:
    """The faults in force, oldest first; a request is hit by at most one."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self._faults.append(fault)

    def clear(self) -> None:
        self._faults.clear()

    def all(self) -> tuple[Fault, ...]:
        """Every fault set and not removed, those that are used up included."""
        return tuple(self._faults)

    def strike(self, line: str) -> Fault | None:
        """The fault that hits the request with this line, counted as a hit; None if none does."""
        for fault in self._faults:
            if fault.match in line and (fault.times is None or fault.hits < fault.times):
                fault.hits += 1
                return fault
        return None
