"""A flood's findings are counted as they are read, and only the worst are kept."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from shared.domain.states import Reason, State
from shared.domain.summary_line import SummaryLine
from shared.followup.briefing.group import SHOWN
from shared.followup.incidents.hourly import _gathered
from shared.persistence.hourly_groups import Member

NOW = datetime(2026, 11, 20, tzinfo=UTC)


async def flood(count: int) -> AsyncIterator[Member]:
    for number in range(count):
        name = f"{number:064x}"
        line = SummaryLine(name, "", State.UNRESOLVED, Reason.MALFORMED, "contoso", None, "s", None, NOW, None)
        yield Member(line, is_open=number % 2 == 1)


async def test_all_are_counted_and_only_the_worst_are_kept() -> None:
    members = await _gathered(flood(1000))
    assert (members.total, members.places.total(), len(members.worst)) == (1000, 500, SHOWN)
    assert members.worst[0].fingerprint == f"{1:064x}"
