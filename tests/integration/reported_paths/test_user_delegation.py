"""The paths at which a user delegation SAS is tried."""

from shared.domain.states import State
from tests.support import user_delegation
from tests.support.decisions import ADA, asked
from tests.support.driver import Driver, found, raw_report, report
from tests.support.reported_paths import REVOKE, URL, at


def tried_at(driver: Driver) -> list[str]:
    return [URL.sub("", r.url).partition("?")[0] for r in driver.requests("skoid=1f21f8fc")]


async def test_token_is_tried_at_the_path_of_the_report_that_brings_it(driver: Driver) -> None:
    account = await driver.account()
    text = await user_delegation.url(driver, account, "blob")
    await driver.app().fast_path.ingest.receive(raw_report(at("wrong/a", text)))
    record = await driver.record(found(text).fingerprint)
    assert (record.state, record.liveness and record.liveness.alive) == (State.AWAITING_APPROVAL, False)
    driver.cool_down()
    await driver.app().fast_path.ingest.receive(raw_report(text))
    record = await driver.record(found(text).fingerprint)
    assert (record.state, record.finding.credential) == (State.CONTAINED, found(text).credential)
    assert tried_at(driver) == ["wrong/a", "models/m.ckpt"]


async def test_wrong_path_does_not_make_a_token_count_as_refused_that_azure_accepted(driver: Driver) -> None:
    account = await driver.account()
    text = await user_delegation.url(driver, account, "blob")
    await driver.app(mode="observe").fast_path.ingest.receive(raw_report(text))
    driver.clock.advance(minutes=5)
    await driver.app(mode="observe").fast_path.ingest.receive(raw_report(at("wrong/a", text)))
    record = await driver.record(found(text).fingerprint)
    assert (record.liveness and record.liveness.alive, tried_at(driver)) == (True, ["models/m.ckpt"])


async def test_token_that_was_reported_without_its_secret_is_asked_about_when_a_responder_brings_it(
    driver: Driver,
) -> None:
    account = await driver.account()
    text = await user_delegation.url(driver, account, "blob")
    await driver.app().fast_path.ingest.receive(report(found(text)))
    record = await driver.record(found(text).fingerprint)
    assert "report the whole URL" in record.decided_by
    driver.cool_down()
    [record] = await driver.app().http.revocations.report(asked(text), caller=ADA)
    assert (record.state, len(driver.requests(REVOKE))) == (State.CONTAINED, 1)


async def test_refused_token_asks_people_once_however_often_it_is_reported_elsewhere(driver: Driver) -> None:
    account = await driver.account()
    text = await user_delegation.url(driver, account, "blob")
    for number in range(4):
        await driver.app().fast_path.ingest.receive(raw_report(at(f"wrong/{number}", text)))
        driver.cool_down()
    record = await driver.record(found(text).fingerprint)
    assert [change.state for change in record.changes].count(State.AWAITING_APPROVAL) == 1


async def test_retry_without_the_token_says_that_a_report_must_bring_it(driver: Driver) -> None:
    account = await driver.account()
    text = await user_delegation.url(driver, account, "blob")
    await driver.app(mode="observe").fast_path.ingest.receive(raw_report(at("wrong/a", text)))
    driver.clock.advance(minutes=5)
    service = driver.app().http.revocations
    record = await service.retry(found(text).fingerprint, reason="Again.", caller=ADA)
    assert (record.state, "report the whole URL" in record.detail) == (State.AWAITING_APPROVAL, True)
