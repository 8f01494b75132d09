"""What becomes of all that is in one reported text: in one time for all of it, whoever else reports it."""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from shared.api.revocations import submissions
from shared.api.revocations.account_matching import Placed
from shared.api.revocations.requests import ReportRequest
from shared.api.revocations.submissions import Submissions
from shared.domain.caller import Caller
from shared.domain.finding import Finding, Reported
from shared.domain.revocation import Revocation, State
from shared.errors import Conflict, InvalidRequest, TransientFailure
from tests.support import samples
from tests.support.entra import Clock

ADA = Caller("ada@contoso.com", "00000000-0000-4000-8000-00000000000a")
THREE = "\n".join((samples.account_sas(), samples.blob_sas(), samples.table_sas()))


@dataclass
class Rooms:
    """Containment, ledger and the search for accounts in one: what is taken is in `records`, and `each` takes a time.

    `contended`: others write to the records all the time.
    """

    clock: Clock = field(default_factory=Clock)
    each: timedelta = timedelta(0)
    contended: bool = False
    hangs: bool = False
    records: dict[str, Revocation] = field(default_factory=dict)
    patience: list[float] = field(default_factory=list)

    def reporting(self) -> Submissions:
        return Submissions(containment=self, ledger=self, loose=self, clock=self.clock)  # type: ignore[arg-type]

    async def place(self, found: tuple[Reported, ...], names: tuple[str, ...]) -> tuple[Placed, ...]:
        return tuple(Placed(reported) for reported in found)

    async def take(self, reported: Reported, *, patience: float) -> None:
        self.patience.append(patience)
        self.clock.advance(self.each)
        known = self.records.setdefault(
            reported.finding.fingerprint, Revocation.of(reported.finding, now=self.clock())
        )
        if self.contended and known.finding != reported.finding:
            raise Conflict("It kept changing.")

    async def preview(self, reported: Reported) -> Revocation:
        if self.hangs:
            await asyncio.Event().wait()
        return Revocation.of(reported.finding, now=self.clock())

    async def read(self, fingerprint: str) -> Revocation | None:
        return self.records.get(fingerprint)

    async def change(self, *args: object, **options: object) -> Revocation | None:
        if self.contended:
            raise Conflict("It kept changing.")
        return None


def asked(text: str) -> ReportRequest:
    return ReportRequest(text, "Seen in a chat.")


def known_from_an_event() -> Finding:
    return replace(samples.finding(samples.account_sas()), source="scanner")


async def test_all_that_is_in_a_text_is_contained_in_one_time() -> None:
    rooms = Rooms(each=timedelta(seconds=15))

    await rooms.reporting().take_in(asked(THREE), caller=ADA)

    assert rooms.patience == [20.0, 5.0, 0.0]


async def test_what_the_time_is_too_short_for_is_durable_all_the_same() -> None:
    rooms = Rooms(each=timedelta(minutes=1))

    records = await rooms.reporting().take_in(asked(THREE), caller=ADA)

    assert [record.fingerprint for record in records] == list(rooms.records)
    assert len(records) == 3


async def test_a_leak_that_many_report_at_once_is_answered_with_its_record() -> None:
    known = known_from_an_event()
    rooms = Rooms(contended=True, records={known.fingerprint: Revocation.of(known, now=samples.NOW)})

    [record] = await rooms.reporting().take_in(asked(samples.account_sas()), caller=ADA)

    assert (record.finding, record.state) == (known, State.RECEIVED)


@pytest.mark.parametrize("act", ["take_in", "preview"])
async def test_more_than_a_report_may_bring_is_refused_before_anything_is_done(
    act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submissions, "_MOST", 2)
    rooms = Rooms()

    with pytest.raises(InvalidRequest, match="at most 2 credentials"):
        await getattr(rooms.reporting(), act)(asked(THREE), caller=ADA)

    assert rooms.records == {}


async def test_a_dry_run_that_azure_keeps_waiting_comes_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submissions, "_DRY_RUN_TIME", 0.01)

    with pytest.raises(TransientFailure, match="dry run"):
        await Rooms(hangs=True).reporting().preview(asked(THREE), caller=ADA)
