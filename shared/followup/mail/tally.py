"""Counts the lines of a summary mail as they are read, and keeps the worst: floods are large. Pure."""

from bisect import insort
from collections import Counter
from collections.abc import Iterable

from shared.domain.states import Reason, State
from shared.domain.summary_line import SummaryLine
from shared.followup.briefing.group import where

SHOWN = 50  # lines
ORDER = (State.FAILED, State.AWAITING_APPROVAL, State.UNRESOLVED)


class Tally:
    """How many lines of each kind, state, and account there are, and the worst `SHOWN` of them.

    `is_cut`: there are more than were counted, which the next mail is about.
    """

    def __init__(self) -> None:
        self.total = 0
        self.is_cut = False
        self.kinds: dict[str, SummaryLine] = {}  # the worst line of each
        self.states: Counter[State] = Counter()
        self.by_account: Counter[tuple[str, str]] = Counter()  # where, and why
        self._worst: list[tuple[tuple[object, ...], SummaryLine]] = []

    @classmethod
    def of(cls, lines: Iterable[SummaryLine]) -> "Tally":
        """Return the tally of these lines."""
        tally = cls()
        for line in lines:
            tally.add(line)
        return tally

    def add(self, line: SummaryLine) -> None:
        """Count a line."""
        self.total += 1
        self.states[line.state] += 1
        self.by_account[where(line), outcome(line)] += 1
        known = self.kinds.get(line.kind)
        if known is None or line.rank < known.rank:
            self.kinds[line.kind] = line
        urgent = ORDER.index(line.state) if line.state in ORDER else len(ORDER)
        insort(self._worst, ((urgent, *line.rank), line), key=lambda ranked: ranked[0])
        del self._worst[SHOWN:]

    @property
    def worst(self) -> list[SummaryLine]:
        """The worst lines, the most urgent states first."""
        return [line for _, line in self._worst]


def outcome(line: SummaryLine) -> str:
    """Return the reason, or the state without one, as people read it."""
    return "unattributed" if line.reason is Reason.LOOSE else (line.reason or line.state).replace("_", " ")
