"""The report: a table of beliefs, with the result of each and what to change where it is wrong."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from conformance.facts import Fact


class Outcome(StrEnum):
    """What a test said of a belief."""

    CONFIRMED = "confirmed"
    REFUTED = "REFUTED"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one belief. `observed`: what its test saw, or why there was none."""

    fact: Fact
    outcome: Outcome
    observed: str


def table(results: Iterable[Result]) -> str:
    """Return the table in Markdown: belief, result, what to change. Nothing is to be changed for a confirmed one."""
    rows = ["| Belief | Result | What to change |", "|---|---|---|"]
    for result in results:
        change = "nothing" if result.outcome is Outcome.CONFIRMED else result.fact.change
        belief = f"**{result.fact.name}**: {result.fact.assumption} ({result.fact.basis})"
        rows.append(f"| {_cell(belief)} | {_cell(f'{result.outcome}: {result.observed}')} | {_cell(change)} |")
    return "\n".join(rows)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
