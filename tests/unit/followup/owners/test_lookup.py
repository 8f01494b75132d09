"""An account's owners by its tags, over a strict stand-in for Graph."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from shared.cloud.graph import Graph
from shared.followup.owners.lookup import Ownership
from tests.support import fake_graph, samples
from tests.support.fake_graph import Credential, FakeGraph, Fault

ADA = {"id": "1", "displayName": "Ada", "mail": "ada@contoso.com", "userPrincipalName": "ada@contoso.com"}


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
async def ownership(service: FakeGraph) -> AsyncIterator[Ownership]:
    graph = Graph(Credential(), base_url="https://graph.microsoft.com", transport=service.transport)
    yield Ownership(NOTHING_ELSE, graph, settings=samples.settings())
    await graph.close()


async def test_owner_is_found_by_tag_and_named_by_the_directory(ownership: Ownership) -> None:
    found = await ownership.of(samples.account(tags={"sasquash-owner": "ada@contoso.com"}))

    assert [(owner.address, owner.name) for owner in found.people] == [("ada@contoso.com", "Ada")]


@pytest.mark.parametrize("tags", [{}, {"team": "ada@contoso.com"}, {"sasquash-owner": " ; , "}])
async def test_account_without_owner_tags_has_no_owner(ownership: Ownership, tags: dict[str, str]) -> None:
    assert (await ownership.of(samples.account(tags=tags))).people == ()


async def test_owner_tags_are_those_of_the_settings(service: FakeGraph) -> None:
    graph = Graph(Credential(), base_url="https://graph.microsoft.com", transport=service.transport)
    by_team = Ownership(NOTHING_ELSE, graph, settings=samples.settings(owner_tags="team"))

    found = await by_team.of(samples.account(tags={"team": "ada@contoso.com", "sasquash-owner": "bob@contoso.com"}))
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
async def test_hostile_tag_names_no_owner_and_is_recorded(
    ownership: Ownership, service: FakeGraph, value: str
) -> None:
    found = await ownership.of(samples.account(tags={"sasquash-owner": value}))

    assert found.people == ()
    assert found.rejected
    assert "A" * 43 not in repr(found)
    assert service.requests == []


async def test_mailbox_outside_the_allowed_domain_in_the_directory_is_rejected(
    ownership: Ownership, service: FakeGraph
) -> None:
    service.users["ada@contoso.com"]["mail"] = "ada@evil.example"

    found = await ownership.of(samples.account(tags={"sasquash-owner": "ada@contoso.com"}))

    assert found.people == ()
    assert found.rejected


async def test_owner_counts_although_the_directory_does_not_answer(ownership: Ownership, service: FakeGraph) -> None:
    service.faults.append(Fault("GET", lambda _: fake_graph.error(503, "serviceUnavailable")))

    found = await ownership.of(samples.account(tags={"sasquash-owner": "ada@contoso.com"}))

    assert [owner.address for owner in found.people] == ["ada@contoso.com"]
