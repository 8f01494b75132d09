"""A text with several credentials: one time limit for all of them, also under concurrent reports."""

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
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.errors import Conflict, InvalidRequest, TransientFailure
from tests.support import samples
from tests.support.entra import Clock

ADA = Caller("ada@contoso.com", "00000000-0000-4000-8000-00000000000a", is_person=True)
THREE = "\n".join((samples.account_sas(), samples.blob_sas(), samples.table_sas()))


@dataclass
class Services:
    """Containment, ledger and account matcher in one. Each finding in `records` took the time `each`.

    `contended`: others write to the records all the time.
    """

    clock: Clock = field(default_factory=Clock)
    each: timedelta = timedelta(0)
    contended: bool = False
    hangs: bool = False
    records: dict[str, Revocation] = field(default_factory=dict)
    patience: list[float] = field(default_factory=list)

    @property
    def submissions(self) -> Submissions:
        return Submissions(containment=self, store=self, matcher=self)  # type: ignore[arg-type]

    @property
    def revocations(self) -> "Services":
        return self

    async def attribute(self, found: tuple[Reported, ...], names: tuple[str, ...]) -> tuple[Placed, ...]:
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


async def test_all_findings_of_a_text_share_one_time_limit() -> None:
    services = Services(each=timedelta(seconds=15))

    await services.submissions.contain(asked(THREE), caller=ADA)

    assert services.patience == [20.0, 5.0, 0.0]


async def test_findings_after_the_time_limit_are_durable() -> None:
    services = Services(each=timedelta(minutes=1))

    records = await services.submissions.contain(asked(THREE), caller=ADA)

    assert [record.fingerprint for record in records] == list(services.records)
    assert len(records) == 3


async def test_contended_leak_returns_its_record() -> None:
    known = known_from_an_event()
    services = Services(contended=True, records={known.fingerprint: Revocation.of(known, now=samples.NOW)})

    [record] = await services.submissions.contain(asked(samples.account_sas()), caller=ADA)

    assert (record.finding, record.state) == (known, State.RECEIVED)


@pytest.mark.parametrize("method", ["contain", "preview"])
async def test_too_many_credentials_are_refused_before_any_is_contained(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submissions, "_MOST", 2)
    services = Services()

    with pytest.raises(InvalidRequest, match="at most 2 credentials"):
        await getattr(services.submissions, method)(asked(THREE), caller=ADA)

    assert services.records == {}


async def test_dry_run_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submissions, "_DRY_RUN_TIME", 0.01)

    with pytest.raises(TransientFailure, match="dry run"):
        await Services(hangs=True).submissions.preview(asked(THREE), caller=ADA)
