"""Faults that are injected through the control port and applied by the front."""

from dataclasses import dataclass
from enum import StrEnum


class Effect(StrEnum):
    """What happens to a request instead of its execution, or after it."""

    STATUS = "status"  # answered with the status of the fault
    RESET = "reset"  # its connection is reset
    HANG = "hang"  # never answered
    NONE = "none"  # executed and answered, for a fault that only delays


@dataclass(slots=True)
class Fault:
    """Applies to the next `times` requests whose line "METHOD https://host/path?query" contains `match`.

    `code` is the error code of the response; None: the usual one for its status. `times` None: until it is removed.
    The request is delayed by `delay_ms` first. `after`: the request is executed, and the effect replaces its
    response. `hits` counts the requests that it was applied to.
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
    """The active faults, oldest first. At most one applies to a request."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self._faults.append(fault)

    def clear(self) -> None:
        self._faults.clear()

    def all(self) -> tuple[Fault, ...]:
        """Return every fault that was not removed, including used-up ones."""
        return tuple(self._faults)

    def match(self, line: str) -> Fault | None:
        """Return the fault for the request with this line, and count the hit; None if no fault applies."""
        for fault in self._faults:
            if fault.match in line and (fault.times is None or fault.hits < fault.times):
                fault.hits += 1
                return fault
        return None
