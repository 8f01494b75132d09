"""What nobody confirmed is one incident and one mail an hour a kind, however much comes, and nothing is lost."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta

import pytest

from local.tenant.model import Account, Incident, Mail
from shared.app import App
from shared.domain.alert import AlertEvidence
from shared.domain.finding import Finding
from shared.domain.report import REPORTED, Report
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.errors import SasquashError
from shared.persistence.queues import Message
from tests.support import unusual_leaks
from tests.support.decisions import BOB, EVE, digest_of
from tests.support.driver import OWNER, Crashed, Driver, Lifetime, found, report
from tests.support.leaks import account_sas

SIXTY = 60
NUMBERS = itertools.count(1)


@pytest.fixture(autouse=True)
async def quiet(driver: Driver) -> None:
    """There is no other flood but the test's."""
    await driver.no_floods()


@pytest.fixture
async def account(driver: Driver) -> Account:
    return await driver.account(tags={"sasquash-owner": OWNER})


def evidence(driver: Driver, account: Account, number: int) -> Report:
    """The event with evidence that somebody has made up, each about another token."""
    seen_at = driver.clock() + timedelta(minutes=1)  # no key was made since
    made_up = AlertEvidence(
        account=account.name,
        key="key1",
        title="Unusual SAS token",
        seen_at=seen_at,
        signature_sha256=f"{number:064x}",
    )
    finding = Finding.of_evidence(made_up, source="defender", url=None, detected_at=driver.clock(), alert=None)
    return report(finding)


def malformed(number: int) -> Report:
    """An event that can't be read, from a source of its own, and none that another test has sent."""
    return Report(f"malformed-{next(NUMBERS)}", REPORTED, f"/scanners/{number}", {"credential": number})


async def at_once[T](run: Callable[[T], Awaitable[None]], several: Iterable[T]) -> None:
    places = asyncio.Semaphore(10)

    async def one(item: T) -> None:
        async with places:
            await run(item)

    await asyncio.gather(*map(one, several))


async def followed_up(driver: Driver, app: App | None = None) -> list[Revocation]:
    """Follow up every record that asked for it since the last time; return them."""
    fingerprints = list(dict.fromkeys(s.message.fingerprint for s in driver.sent if s.queue == "follow-up"))
    driver.sent.clear()
    follow_up = (app or driver.app()).background.follow_up
    await at_once(follow_up.run, [Message(fingerprint) for fingerprint in fingerprints])
    return [await driver.record(fingerprint) for fingerprint in fingerprints]


async def timer(driver: Driver, app: App | None = None) -> None:
    """What `send_digest` does every minute."""
    background = (app or driver.app()).background
    await background.hourly_incidents.update()
    await background.summary_mail.send()


class Since:
    """The mails and incidents since then."""

    def __init__(self, driver: Driver) -> None:
        self._model = driver.cloud.model
        self._mails, self._incidents = len(self._model.mails), len(self._model.incidents)

    @property
    def mails(self) -> list[Mail]:
        return self._model.mails[self._mails :]

    @property
    def incidents(self) -> list[Incident]:
        return self._model.incidents[self._incidents :]


async def test_60_made_up_evidences_are_one_incident_and_one_mail(driver: Driver, account: Account) -> None:
    since, app = Since(driver), driver.app()
    await app.fast_path.ingest.receive(evidence(driver, account, 0))
    driver.cool_down()
    await at_once(app.fast_path.ingest.receive, [evidence(driver, account, n) for n in range(1, SIXTY)])
    driver.cool_down()
    await at_once(app.fast_path.containment.resume, [s.message for s in driver.sent if s.queue == "contain"])
    records = await followed_up(driver, app)
    await timer(driver, app)
    assert [record.state for record in records] == [State.AWAITING_APPROVAL] * SIXTY
    [incident], [mail] = since.incidents, since.mails
    assert incident.fields["Title"] == "60 unconfirmed findings: approval required"
    assert mail.subject == "[SUMMARY] 60 unconfirmed findings: 60 awaiting approval"
    assert f"60 of storage account {account.name}" in incident.fields["Summary"]
    worst = min(records, key=lambda record: record.changes[-1].at)
    assert worst.plan is not None
    assert (worst.plan.digest in mail.body, worst.plan.digest in incident.fields["NextStep"]) == (True, True)


async def test_60_poison_messages_are_one_incident_and_one_mail(driver: Driver) -> None:
    since, app = Since(driver), driver.app()
    failed = app.background.poison_messages.failed
    await at_once(lambda number: failed("contain", f"none of ours {number}".encode()), range(SIXTY))
    records = await followed_up(driver, app)
    await timer(driver, app)
    assert [record.reason for record in records] == [Reason.CRASHED] * SIXTY
    [incident], [mail] = since.incidents, since.mails
    assert incident.fields["Title"] == "60 unconfirmed findings (crashed): FAILED, review required"
    assert mail.subject == "[SUMMARY] 60 unconfirmed findings: 60 FAILED"
    assert "kept in container dead-letters as kept/poison/contain/" in mail.body


async def test_60_malformed_events_are_one_incident_and_one_mail(driver: Driver) -> None:
    since, app = Since(driver), driver.app()
    await at_once(app.fast_path.ingest.receive, map(malformed, range(SIXTY)))
    records = await followed_up(driver, app)
    await timer(driver, app)
    assert [record.reason for record in records] == [Reason.MALFORMED] * SIXTY
    [incident], [mail] = since.incidents, since.mails
    assert incident.fields["Title"] == "60 unconfirmed findings (malformed): UNRESOLVED, review required"
    assert mail.subject == "[SUMMARY] 60 unconfirmed findings"


async def test_only_one_has_the_incident_and_the_mail_that_it_would_have_alone(
    driver: Driver, account: Account
) -> None:
    since, app = Since(driver), driver.app()
    await app.fast_path.ingest.receive(evidence(driver, account, 1))
    [record] = await followed_up(driver, app)
    [incident] = since.incidents
    assert incident.fields["Status"] == "awaiting_approval"
    assert incident.fields["Account"] == account.name
    assert digest_of(record) in incident.fields["NextStep"]
    await timer(driver, app)
    [mail] = since.mails
    assert f"of storage account {account.name}: STILL ACTIVE, approval required" in mail.subject
    assert digest_of(record) in mail.body


async def test_flood_goes_on_as_one_mail_and_one_incident_an_hour(driver: Driver) -> None:
    """Every five minutes for two hours: it begins in the middle of an hour, and no clock's hour splits it."""
    since, app = Since(driver), driver.app()
    for number in range(24):
        await app.fast_path.ingest.receive(malformed(number))
        await followed_up(driver, app)
        await timer(driver, app)
        driver.clock.advance(minutes=5)
    assert (len(since.incidents), len(since.mails)) == (2, 2)
    driver.clock.advance(hours=1)
    await timer(driver, app)
    assert [mail.subject for mail in since.mails] == [
        "[SUMMARY] 1 unconfirmed finding",
        "[SUMMARY] 12 unconfirmed findings",
        "[SUMMARY] 11 unconfirmed findings",
    ]


async def test_mail_that_was_not_sent_is_sent_with_what_came_since(driver: Driver) -> None:
    since, app = Since(driver), driver.app()
    for number in range(2):
        await app.fast_path.ingest.receive(malformed(number))
        await followed_up(driver, app)
        driver.fault("/sendMail", status=403)
        with pytest.raises(SasquashError):
            await timer(driver, app)
        driver.cloud.faults.clear()
        driver.clock.advance(minutes=7)
    await timer(driver, app)
    assert [mail.subject for mail in since.mails] == ["[SUMMARY] 2 unconfirmed findings"]


async def test_incident_that_was_not_filed_is_filed_by_the_timer(driver: Driver) -> None:
    since, app = Since(driver), driver.app()
    driver.fault("/lists/", status=503, times=None)
    await app.fast_path.ingest.receive(malformed(1))
    await followed_up(driver, app)
    assert since.incidents == []
    driver.cloud.faults.clear()
    await timer(driver, app)
    assert len(since.incidents) == 1


DIGEST = "https://sasquashstate.table.core.windows.net/digest"


async def test_first_finding_is_filed_at_once_although_its_group_was_begun_without_an_answer(driver: Driver) -> None:
    since, app = Since(driver), driver.app()
    driver.fault(f"POST {DIGEST}", status=503, after=True)
    await app.fast_path.ingest.receive(malformed(1))
    await followed_up(driver, app)
    assert len(since.incidents) == 1


async def test_incident_is_updated_although_its_lock_was_written_without_an_answer(driver: Driver) -> None:
    since, app = Since(driver), driver.app()
    await app.fast_path.ingest.receive(malformed(1))
    await followed_up(driver, app)
    await app.fast_path.ingest.receive(malformed(2))
    await followed_up(driver, app)
    fault = driver.fault(f"PATCH {DIGEST}(", status=503, after=True)
    await app.background.hourly_incidents.update()
    [incident] = since.incidents
    assert fault.hits == 1
    assert incident.fields["Title"].startswith("2 unconfirmed findings")


async def test_several_instances_at_the_same_time_file_one_incident(driver: Driver) -> None:
    since, apps = Since(driver), [driver.app() for _ in range(4)]
    for number, app in enumerate(apps):
        await app.fast_path.ingest.receive(malformed(number))
    fingerprints = list(dict.fromkeys(s.message.fingerprint for s in driver.sent if s.queue == "follow-up"))
    runs = zip(apps, fingerprints, strict=True)
    await asyncio.gather(*(app.background.follow_up.run(Message(fingerprint)) for app, fingerprint in runs))
    await asyncio.gather(*(timer(driver, app) for app in apps))
    await timer(driver)
    [incident], [mail] = since.incidents, since.mails
    assert incident.fields["Title"].startswith("4 unconfirmed findings")
    assert mail.subject == "[SUMMARY] 4 unconfirmed findings"


async def test_each_kind_has_its_own(driver: Driver, account: Account) -> None:
    since, app = Since(driver), driver.app()
    await app.fast_path.ingest.receive(malformed(1))
    await app.fast_path.ingest.receive(report(found(unusual_leaks.forged(account.name, ""))))
    await app.background.poison_messages.failed("contain", b"none of ours")
    await followed_up(driver, app)
    await timer(driver, app)
    assert len(since.incidents) == 3
    assert [mail.subject for mail in since.mails] == ["[SUMMARY] 3 unconfirmed findings: 1 FAILED"]


async def test_proven_leak_in_a_flood_has_its_own_incident_and_mail(driver: Driver, account: Account) -> None:
    since, app = Since(driver), driver.app()
    leak = found(account_sas(account.name, account.keys["key1"]))
    forged = [found(unusual_leaks.forged(account.name, "")) for _ in range(20)]
    for finding in (forged[0], leak, *forged[1:]):
        await app.fast_path.ingest.receive(report(finding))
    driver.cool_down()
    await app.fast_path.containment.resume(Message(leak.fingerprint))
    await followed_up(driver, app)
    await timer(driver, app)
    assert (await driver.record(leak.fingerprint)).state is State.CLOSED
    [own] = driver.incidents(leak.fingerprint)
    assert (own.fields["Status"], len(since.incidents)) == ("closed", 2)
    assert [mail.to for mail in since.mails if "verified revoked" in mail.subject] != []


async def test_evidence_that_is_approved_leaves_the_shared_incident(driver: Driver, account: Account) -> None:
    since, app = Since(driver), driver.app()
    await app.fast_path.ingest.receive(evidence(driver, account, 1))
    driver.cool_down()
    await app.fast_path.ingest.receive(evidence(driver, account, 2))
    first, second = await followed_up(driver, app)
    for person in (BOB, EVE):
        await app.http.revocations.approve(
            first.fingerprint, digest=digest_of(first), reason="It is real.", caller=person
        )
    await followed_up(driver, app)
    [shared, own] = since.incidents
    assert own.fields["FindingId"] == first.fingerprint
    [shared_by_second] = driver.shared_incidents(await driver.record(second.fingerprint))
    assert (shared_by_second, shared.fields["Status"]) == (shared, "awaiting_approval")
    await timer(driver, app)
    about_second = [mail for mail in since.mails if "STILL ACTIVE, approval required" in mail.subject]
    assert [digest_of(second) in mail.body for mail in about_second] == [True]


async def test_shared_incident_is_closed_once_nothing_in_it_is_open(driver: Driver, account: Account) -> None:
    since, app = Since(driver), driver.app()
    for number in (1, 2):
        await app.fast_path.ingest.receive(evidence(driver, account, number))
        driver.cool_down()
    records = await followed_up(driver, app)
    statuses = []
    for record in records:
        await timer(driver, app)
        statuses.append(since.incidents[0].fields["Status"])
        await app.http.revocations.reject(record.fingerprint, reason="Made up.", caller=BOB)
        await followed_up(driver, app)
    await timer(driver, app)
    assert (len(since.incidents), [*statuses, since.incidents[0].fields["Status"]]) == (
        1,
        ["awaiting_approval", "awaiting_approval", "dismissed"],
    )


@pytest.mark.parametrize("carried_out", [False, True])
async def test_instance_that_crashes_at_any_call_loses_no_finding_and_counts_each_once(
    driver: Driver, *, carried_out: bool
) -> None:
    since, number, crashed = Since(driver), 0, True
    app = driver.app()
    while crashed:
        number += 1
        await app.fast_path.ingest.receive(malformed(number))
        [fingerprint] = {s.message.fingerprint for s in driver.sent if s.queue == "follow-up"}
        driver.sent.clear()
        life, crashed = Lifetime(ends_at=number, carried_out=carried_out, counting="/digest"), False
        crashing = driver.app(life)
        try:
            await crashing.background.follow_up.run(Message(fingerprint))
            await crashing.background.hourly_incidents.update()
        except Crashed:
            crashed = True
        driver.clock.advance(minutes=3)  # leases end
        await app.background.follow_up.run(Message(fingerprint))
        await app.background.hourly_incidents.update()
        titles = [incident.fields["Title"] for incident in since.incidents]
        assert titles[-1].startswith(f"{number} unconfirmed" if number > 1 else "Unreadable report"), number
        assert len(titles) == 1, f"crashed at call {number}"
    assert number > 5


async def test_unexpected_error_of_one_incident_holds_up_no_other_and_is_raised(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, tried = driver.app(), []
    groups = app.background.hourly_incidents.groups
    for name in ("first", "second"):
        await groups.leave(name, "0" * 64)

    async def fails(group: str) -> None:
        tried.append(group)
        raise RuntimeError(group)

    monkeypatch.setattr(groups, "begin_writing", fails)
    with pytest.raises(ExceptionGroup):
        await app.background.hourly_incidents.update()
    assert {"first", "second"} <= set(tried)
    for changed in await groups.changed():
        await groups.settle(changed)
