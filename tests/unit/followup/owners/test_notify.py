"""The mail to owners and the security mailbox, over a strict stand-in for Graph."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from shared.cloud.graph import Graph
from shared.domain.revocation import Owner
from shared.domain.states import State
from shared.errors import Blocked, TransientFailure
from shared.followup.owners.notify import Notifier
from tests.support import fake_graph, samples
from tests.support.fake_graph import Credential, FakeGraph, Fault
from tests.support.samples import NOW

ADA = {"id": "1", "displayName": "Ada", "mail": "ada@contoso.com", "userPrincipalName": "ada@contoso.com"}
SECURITY = "security@contoso.com"


@pytest.fixture
def service() -> FakeGraph:
    return FakeGraph(users={"ada@contoso.com": dict(ADA)})


@pytest.fixture
async def notifier(service: FakeGraph) -> AsyncIterator[Notifier]:
    graph = Graph(Credential(), base_url="https://graph.microsoft.com", transport=service.transport)
    yield Notifier(graph, samples.settings(mail_sender=fake_graph.SENDER))
    await graph.close()


async def send(notifier: Notifier, *owners: str, **changed: Any) -> tuple[str, ...]:
    record = samples.revocation(
        state=State.PROVEN,
        account=samples.account(),
        execution=samples.execution(samples.verification_token()),
        owners=tuple(Owner(address, None, "tag owner") for address in owners),
        **changed,
    )
    return await notifier.send(record, now=NOW)


def addresses(mail: Mapping[str, Any], field: str) -> list[str]:
    return [recipient["emailAddress"]["address"] for recipient in mail.get(field, [])]


async def test_owners_are_mailed_with_a_copy_to_the_security_mailbox(notifier: Notifier, service: FakeGraph) -> None:
    to = await send(notifier, "ada@contoso.com")

    [mail] = service.mails
    assert (addresses(mail, "toRecipients"), addresses(mail, "ccRecipients")) == (["ada@contoso.com"], [SECURITY])
    assert to == ("ada@contoso.com", SECURITY)


async def test_mail_without_owners_goes_to_the_security_mailbox(notifier: Notifier, service: FakeGraph) -> None:
    to = await send(notifier)

    assert addresses(service.mails[0], "toRecipients") == [SECURITY]
    assert to == (SECURITY,)


async def test_owner_who_is_the_security_mailbox_is_mailed_once(notifier: Notifier) -> None:
    assert await send(notifier, "Security@contoso.com") == (SECURITY,)


async def test_owners_not_looked_up_yet_are_not_mailed(notifier: Notifier) -> None:
    record = samples.revocation(state=State.UNRESOLVED, owners=None)

    assert await notifier.send(record, now=NOW) == (SECURITY,)


async def test_mail_carries_the_id_that_people_see(notifier: Notifier, service: FakeGraph) -> None:
    await send(notifier)

    [mail] = service.mails
    credential = samples.finding().credential
    assert credential is not None
    assert credential.c3id in mail["subject"]
    assert mail["internetMessageHeaders"] == [{"name": "x-sas-finding", "value": credential.c3id}]


async def test_mail_contains_neither_the_leak_nor_our_verification_token(
    notifier: Notifier, service: FakeGraph
) -> None:
    await send(notifier, "ada@contoso.com")

    sent = b"".join(request.content for request in service.requests).decode()
    signatures = [
        text.partition("sig=")[2].split("&")[0]
        for text in (samples.account_sas(), samples.verification_token().query)
    ]
    assert "robustmodels" in sent
    assert not any(signature in sent for signature in signatures)


@pytest.mark.parametrize(
    ("status", "raised"), [(429, TransientFailure), (503, TransientFailure), (403, Blocked), (404, Blocked)]
)
async def test_refused_mail_is_not_sent_twice(
    notifier: Notifier, service: FakeGraph, status: int, raised: type[Exception]
) -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        return fake_graph.error(status, "code")

    service.faults.append(Fault("POST", refuse))

    with pytest.raises(raised):
        await send(notifier, "ada@contoso.com")

    assert service.count("POST") == 1
