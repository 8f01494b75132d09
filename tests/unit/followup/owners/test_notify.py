"""Who is told, from an account's tags to the mail, over a strict stand-in for Graph."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest

from shared.cloud.graph import Graph
from shared.domain.revocation import Owner, State
from shared.errors import Blocked, TransientFailure
from shared.followup.owners.notify import People
from tests.support import fake_graph, samples
from tests.support.fake_graph import Credential, FakeGraph, Fault
from tests.support.samples import NOW

ADA = {"id": "1", "displayName": "Ada", "mail": "ada@contoso.com", "userPrincipalName": "ada@contoso.com"}
SECURITY = "security@contoso.com"


class Arm:
    """Knows of nothing that says who owns an account."""

    async def one(self, subscription: str, path: str, *, doing: str) -> Mapping[str, Any]:
        return {}

    async def rows(self, subscription: str, path: str, *, doing: str) -> AsyncIterator[Mapping[str, Any]]:
        for row in ():
            yield row


NOTHING_ELSE: Any = Arm()


@pytest.fixture
def service() -> FakeGraph:
    return FakeGraph(users={"ada@contoso.com": dict(ADA)})


@pytest.fixture
async def people(service: FakeGraph) -> AsyncIterator[People]:
    graph = Graph(Credential(), base_url="https://graph.microsoft.com", transport=service.transport)
    yield People(graph, NOTHING_ELSE, settings=samples.settings(mail_sender=fake_graph.SENDER))
    await graph.close()


async def tell(people: People, *owners: str, **changed: Any) -> tuple[str, ...]:
    record = samples.revocation(
        state=State.PROVEN,
        account=samples.account(),
        execution=samples.execution(samples.verification_token()),
        owners=tuple(Owner(address, None, "tag owner") for address in owners),
        **changed,
    )
    return await people.tell(record, now=NOW)


def addresses(mail: Mapping[str, Any], field: str) -> list[str]:
    return [recipient["emailAddress"]["address"] for recipient in mail.get(field, [])]


# find


async def test_an_owner_is_found_by_tag_and_named_by_the_directory(people: People) -> None:
    found = await people.find(samples.account(tags={"sasquash-owner": "ada@contoso.com"}))

    assert [(owner.address, owner.name) for owner in found.people] == [("ada@contoso.com", "Ada")]


@pytest.mark.parametrize("tags", [{}, {"team": "ada@contoso.com"}, {"sasquash-owner": " ; , "}])
async def test_an_account_that_names_nobody_has_no_owner(people: People, tags: dict[str, str]) -> None:
    assert (await people.find(samples.account(tags=tags))).people == ()


async def test_the_tags_that_count_are_those_of_the_settings(service: FakeGraph) -> None:
    graph = Graph(Credential(), base_url="https://graph.microsoft.com", transport=service.transport)
    told = People(graph, NOTHING_ELSE, settings=samples.settings(owner_tags="team"))

    found = await told.find(samples.account(tags={"team": "ada@contoso.com", "sasquash-owner": "bob@contoso.com"}))
    await graph.close()

    assert [owner.address for owner in found.people] == ["ada@contoso.com"]


@pytest.mark.parametrize(
    "value",
    [
        "mallory@evil.example",
        "ada@contoso.com.evil.example",
        "ada@sub.contoso.com",
        "ada@contoso.com\r\nBcc: mallory@evil.example",
        "ada@c\u043entoso.com",
        "<script>@contoso.com",
        "../../me@contoso.com",
        '"ada@contoso.com"@evil.example',
        f"ada@contoso.com?sig={'A' * 43}%3D",
    ],
)
async def test_a_hostile_tag_names_nobody_and_is_told(people: People, service: FakeGraph, value: str) -> None:
    found = await people.find(samples.account(tags={"sasquash-owner": value}))

    assert found.people == ()
    assert found.rejected
    assert "A" * 43 not in repr(found)
    assert service.requests == []


async def test_a_mailbox_that_the_directory_moves_out_of_the_domain_is_not_told(
    people: People, service: FakeGraph
) -> None:
    service.users["ada@contoso.com"]["mail"] = "ada@evil.example"

    found = await people.find(samples.account(tags={"sasquash-owner": "ada@contoso.com"}))

    assert found.people == ()
    assert found.rejected


async def test_a_directory_that_does_not_answer_keeps_nobody_from_being_told(
    people: People, service: FakeGraph
) -> None:
    service.faults.append(Fault("GET", lambda _: fake_graph.error(503, "serviceUnavailable")))

    found = await people.find(samples.account(tags={"sasquash-owner": "ada@contoso.com"}))

    assert [owner.address for owner in found.people] == ["ada@contoso.com"]


# tell


async def test_owners_are_mailed_and_the_security_mailbox_gets_a_copy(people: People, service: FakeGraph) -> None:
    to = await tell(people, "ada@contoso.com")

    [mail] = service.mails
    assert (addresses(mail, "toRecipients"), addresses(mail, "ccRecipients")) == (["ada@contoso.com"], [SECURITY])
    assert to == ("ada@contoso.com", SECURITY)


async def test_without_owners_the_security_mailbox_is_told(people: People, service: FakeGraph) -> None:
    to = await tell(people)

    assert addresses(service.mails[0], "toRecipients") == [SECURITY]
    assert to == (SECURITY,)


async def test_an_owner_who_is_the_security_mailbox_is_told_once(people: People) -> None:
    assert await tell(people, "Security@contoso.com") == (SECURITY,)


async def test_owners_that_were_not_looked_up_yet_are_not_told(people: People) -> None:
    record = samples.revocation(state=State.UNRESOLVED, owners=None)

    assert await people.tell(record, now=NOW) == (SECURITY,)


async def test_the_mail_bears_the_id_that_people_see(people: People, service: FakeGraph) -> None:
    await tell(people)

    [mail] = service.mails
    credential = samples.finding().credential
    assert credential is not None
    assert credential.c3id in mail["subject"]
    assert mail["internetMessageHeaders"] == [{"name": "x-sas-finding", "value": credential.c3id}]


async def test_the_mail_holds_neither_the_leak_nor_our_own_token(people: People, service: FakeGraph) -> None:
    await tell(people, "ada@contoso.com")

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
async def test_a_mail_that_is_not_taken_is_not_sent_twice(
    people: People, service: FakeGraph, status: int, raised: type[Exception]
) -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        return fake_graph.error(status, "code")

    service.faults.append(Fault("POST", refuse))

    with pytest.raises(raised):
        await tell(people, "ada@contoso.com")

    assert service.count("POST") == 1
