"""The Protocol of the follow-up's steps, and their order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from shared.domain.revocation import Revocation


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a step.

    `change` records it and returns None where the record moved on; None if there is nothing to record. `what` is the
    history's sentence, empty for none. `again` is in how many seconds to run the step again, 0 for at once.
    """

    change: Callable[[Revocation], Revocation | None] | None = None
    what: str = ""
    again: float | None = None


class Step(Protocol):
    """One action of the follow-up on a decided record."""

    @property
    def name(self) -> str:
        """The step's name in leases, logs and the history."""

    @property
    def leased(self) -> bool:
        """Whether two instances must not run it at the same time, since it changes something outside."""

    def due_in(self, revocation: Revocation) -> float | None:
        """Return in how many seconds to run it, 0 for now; None if there is nothing to do in this state."""

    async def run(self, revocation: Revocation) -> Done:
        """Run the step, which is due. Raises SasquashError: the step is retried on its own."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps after the verification. Those of the last two groups run one after the other."""

    concurrent: tuple[Step, ...]
    beside_verification: tuple[Step, ...]
    after_verification: tuple[Step, ...]
