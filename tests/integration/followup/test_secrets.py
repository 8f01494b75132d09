"""Nothing that is written down could be used."""

import base64
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, quote

import pytest

from local.network.faults import Effect
from local.tenant.model import Account
from tests.support.driver import Driver, found, raw_report
from tests.support.followups import followed
from tests.support.leaks import Leak, account_sas, raw_key


@pytest.mark.parametrize("leak", [account_sas, raw_key], ids=lambda leak: leak.__name__)
async def test_nothing_that_is_written_holds_what_leaked(
    driver: Driver, account: Account, leak: Leak, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    keys = dict(account.keys)
    text = leak(account.name, keys["key1"])
    driver.fault("/regenerateKey", Effect.RESET, after=True)
    driver.fault("graph.microsoft.com", times=2)
    finding = found(text)
    await driver.app().fast_path.ingest.receive(raw_report(text))
    for _ in range(2):
        await followed(driver, finding)
    signature = parse_qs(text.partition("?")[2]).get("sig", [keys["key1"]])[0]
    secrets = [signature, *keys.values(), *account.keys.values()]
    written = "\n".join(
        (
            *[line async for line in tables(driver)],
            *(str(sent) for sent in driver.sent),
            *(str(mail) for mail in driver.cloud.model.mails),
            *(str(incident) for incident in driver.cloud.model.incidents),
            *(str(event) for event in driver.cloud.model.events),
            *(str(request) for request in driver.requests()),
            *(caplog.messages),
            *(str(record.__dict__) for record in caplog.records),
        )
    )
    assert finding.fingerprint in written
    assert [form for secret in secrets for form in forms(secret) if form in written] == []


async def tables(driver: Driver) -> AsyncIterator[str]:
    driven = driver.app()
    for table in (driven.fast_path.store.revocations._table, driven.fast_path.store.accounts._table):
        async for row in table.list_entities():
            yield str(dict(row))


def forms(secret: str) -> tuple[str, ...]:
    """The ways in which a secret in base64 may be written."""
    once = quote(secret, safe="")
    data = base64.b64decode(secret)
    url_safe = base64.urlsafe_b64encode(data).decode()
    return (
        secret,
        secret.rstrip("="),
        once,
        once.lower(),
        quote(once, safe=""),
        url_safe,
        data.hex(),
        data.hex().upper(),
    )
