"""A token that leaked without its account, and that somebody has used: the storage logs say where."""

from dataclasses import replace

import pytest

from local.network.faults import Effect
from local.tenant.model import Account, StorageLogLine
from shared.domain.finding import Finding
from shared.domain.states import Reason, State
from shared.followup.investigation import account_search
from shared.persistence.queues import Message
from tests.support.driver import Driver, ended, found, report
from tests.support.leaks import account_sas, blob_sas, queue_sas, table_sas

LOGS = "api.loganalytics.io"


@pytest.fixture(autouse=True)
def _all_accounts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of other tests, too, which may be many."""
    monkeypatch.setattr(account_search, "_MOST", 1_000_000)


def bare(text: str) -> Finding:
    """Return the finding of a token that a scanner reports without its URL."""
    finding = found(text)
    assert finding.credential is not None
    credential = replace(finding.credential, host=None)
    return replace(finding, fingerprint=credential.fingerprint, credential=credential, candidates=())


def rotated(account: Account) -> list[str]:
    return [key for key, _ in account.rotations]


def used(driver: Driver, account: Account, finding: Finding) -> None:
    """Have the account's log say that the token was used."""
    assert finding.credential is not None
    line = StorageLogLine(
        account=account.name,
        at=driver.clock(),
        category="StorageRead",
        status=200,
        object_key="models/resnet.ckpt",
        address="203.0.113.7:443",
        agent="evil/1.0",
        response_size=5,
        authentication_hash=f"key1({'0' * 64}),SasSignature({finding.credential.signature_sha256})",
    )
    driver.cloud.model.storage_log.append(line)


async def followed_up(driver: Driver, finding: Finding) -> None:
    await driver.app().fast_path.ingest.receive(report(finding))
    assert (await driver.record(finding.fingerprint)).reason is Reason.LOOSE
    await driver.app().background.follow_up.run(Message(finding.fingerprint))
    driver.cool_down()


@pytest.mark.parametrize("leak", [account_sas, blob_sas, queue_sas, table_sas])
async def test_token_is_revoked_on_the_account_whose_logs_have_it(driver: Driver, leak: object) -> None:
    assert callable(leak)
    _, account = await driver.account(), await driver.account()
    finding = bare(leak(account.name, account.keys["key1"]))
    used(driver, account, finding)
    await followed_up(driver, finding)
    record = await ended(driver, finding.fingerprint)
    assert (record.state, record.account_name, rotated(account)) == (State.CONTAINED, account.name, ["key1"])


async def test_token_in_no_log_stays_unattributed_and_says_where_it_was_searched(driver: Driver) -> None:
    account = await driver.account()
    finding = bare(account_sas(account.name, account.keys["key1"]))
    await followed_up(driver, finding)
    record = await driver.record(finding.fingerprint)
    history = " ".join(entry.what for entry in await driver.history(finding.fingerprint))
    assert (record.reason, rotated(account)) == (Reason.LOOSE, [])
    assert "No request with its signature is in the logs of" in history


async def test_logs_are_searched_once_for_each_report(driver: Driver) -> None:
    account = await driver.account()
    finding = bare(account_sas(account.name, account.keys["key1"]))
    await followed_up(driver, finding)
    before = len(driver.requests(LOGS))
    await driver.app().background.follow_up.run(Message(finding.fingerprint))
    assert len(driver.requests(LOGS)) == before > 0


async def test_logs_that_can_not_be_read_stop_no_follow_up(driver: Driver) -> None:
    account = await driver.account()
    finding = bare(account_sas(account.name, account.keys["key1"]))
    used(driver, account, finding)
    driver.fault(LOGS, Effect.STATUS, status=403, times=None)
    await followed_up(driver, finding)
    driver.cloud.faults.clear()
    record = await driver.record(finding.fingerprint)
    assert record.reason is Reason.LOOSE
    assert record.filed is not None
