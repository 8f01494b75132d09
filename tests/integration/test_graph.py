"""The Graph client against the local cloud's Graph: two readings of one documentation agree."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from azure.core.credentials import AccessToken

from local.entra.service import Entra
from local.graph import service as local_graph
from local.tenant.identities import directory, users
from local.tenant.model import MAIL_SENDER, SECURITY_MAILBOX, SHAREPOINT_LIST, SHAREPOINT_SITE, Cloud
from shared.cloud.graph import Graph
from shared.errors import Blocked
from shared.followup.incidents.sharepoint import SharePointIncidents
from shared.followup.mail.compose import compose
from shared.followup.owners import parsing
from tests.support.briefings import briefing


class _ManagedIdentity:
    def __init__(self, entra: Entra, cloud: Cloud) -> None:
        self._entra = entra
        self._cloud = cloud

    async def get_token(self, scope: str, **_options: Any) -> AccessToken:
        audience = scope.removesuffix("/.default")
        return AccessToken(self._entra.mint(self._cloud.identities["responder"], audience=audience), 2**31)


@pytest.fixture
def cloud() -> Cloud:
    return Cloud(identities=directory(), users=users())


@pytest.fixture
async def graph(cloud: Cloud) -> AsyncIterator[Graph]:
    entra = Entra(cloud)
    transport = httpx.ASGITransport(local_graph.app(cloud, entra))
    graph = Graph(_ManagedIdentity(entra, cloud), base_url="https://graph.microsoft.com", transport=transport)
    yield graph
    await graph.close()


async def test_an_incident_is_filed_once_and_follows_the_revocation(graph: Graph, cloud: Cloud) -> None:
    incidents = SharePointIncidents(graph, site=SHAREPOINT_SITE, list_=SHAREPOINT_LIST)
    first = await incidents.file(briefing(state="contained"))
    second = await incidents.file(briefing(state="proven"))
    await incidents.update(first, briefing(state="closed", key_name=None))
    assert first == second
    assert [(item.fields["Status"], item.fields["Key"]) for item in cloud.incidents] == [("closed", "")]


async def test_the_owner_that_a_tag_names_is_mailed(graph: Graph, cloud: Cloud) -> None:
    domains = {"contoso.com"}
    named = parsing.from_tags({"owner": "model-owner@contoso.com"}, tag_names=["owner"], domains=domains)
    found = await parsing.resolve(named, graph, domains=domains)
    to = [owner.address for owner in found.people]
    message = compose(briefing(owners=found.people), to=to, security_mailbox=SECURITY_MAILBOX)
    await graph.send_mail(MAIL_SENDER, message, finding_id=briefing().c3id)
    (mail,) = cloud.mails
    assert (mail.to, mail.cc) == (("model-owner@contoso.com",), (SECURITY_MAILBOX,))
    assert (mail.subject, mail.body) == (message.subject, message.html)
    assert "Model Owner, model-owner@contoso.com" in mail.body


async def test_a_group_address_is_not_a_user(graph: Graph) -> None:
    assert await graph.user("everyone@contoso.com") is None


async def test_another_mailbox_may_not_be_sent_from(graph: Graph, cloud: Cloud) -> None:
    message = compose(briefing(), to=[], security_mailbox=SECURITY_MAILBOX)
    with pytest.raises(Blocked, match="ErrorAccessDenied"):
        await graph.send_mail("model-owner@contoso.com", message, finding_id="c3id")
    assert cloud.mails == []


@pytest.mark.parametrize(
    ("object_id", "exists"),
    [
        ("81ee9332-c35d-4c3e-9f21-3f7f99e80623", True),  # the app's managed identity
        ("796556ab-fd10-43fd-9d38-1b5021839270", True),  # a person
        ("00000000-0000-4000-8000-000000000000", False),
    ],
)
async def test_a_principal_of_the_tenant_is_known(graph: Graph, object_id: str, exists: bool) -> None:
    assert await graph.principal_exists(object_id) is exists
