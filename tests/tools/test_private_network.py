"""What a private network closes, and who is let in, as Azure's own compiler predicts it."""

import re
from typing import Any

import pytest

from local.deployments.expressions import evaluated
from local.deployments.functions import pure
from local.deployments.templates import _ENVIRONMENT
from shared.factories import background
from shared.persistence.queues import FINDINGS_QUEUE
from tests.support.snapshots import ASSIGNMENT, Snapshot
from tests.tools.conftest import Deploy

# learn.microsoft.com, "Azure built-in roles"
BLOB_DATA_CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
QUEUE_DATA_MESSAGE_SENDER = "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a"


def access(snapshot: Snapshot) -> dict[str, str]:
    """Who reaches each resource over the internet, by the start of its name."""
    found = {}
    kinds = ("Storage/storageAccounts", "KeyVault/vaults", "Web/sites", "EventGrid/topics")
    for each in (each for kind in kinds for each in snapshot.of_type(f"Microsoft.{kind}")):
        properties = each["properties"]
        rules = properties.get("networkAcls", {"defaultAction": "Allow"})
        open_to = {"Deny": f"trusted {rules.get('bypass')}", "Allow": "everyone"}[rules["defaultAction"]]
        if properties.get("inboundIpRules"):
            open_to = "addresses"
        closed = properties.get("publicNetworkAccess") == "Disabled"
        found[re.sub(r"-?\w{13}$", "", each["name"])] = "nobody" if closed else open_to
    return found


def endpoints(snapshot: Snapshot) -> dict[str, str]:
    """The private endpoints: what each is for, by its name, and the group that it has."""
    found = snapshot.of_type("Microsoft.Network/privateEndpoints")
    ways = [each["properties"]["privateLinkServiceConnections"][0] for each in found]
    return {way["name"]: way["properties"]["groupIds"][0] for way in ways}


def test_without_a_private_network_everything_is_reached_by_its_credentials(deploy: Deploy) -> None:
    snapshot = deploy()

    assert set(access(snapshot).values()) == {"everyone"}
    assert endpoints(snapshot) == {}
    assert snapshot.of_type("Microsoft.Network/privateDnsZones") == []


def test_private_network_is_closed_to_the_internet_but_for_the_intake(deploy: Deploy) -> None:
    """Event Grid delivers as a trusted service: "Storage queue as an event handler", note on firewalls.

    Nothing says that `Disabled` lets trusted services in. The drill's account stands for a customer's.
    """
    assert access(deploy(privateNetwork=True)) == {
        "stsq": "trusted AzureServices",
        "stsqin": "nobody",
        "stsqdrill": "everyone",
        "kvsq": "nobody",
        "kvsqin": "nobody",
        "func-sasquash-prod": "nobody",
        "func-sasquash-in-prod": "everyone",
        "egt-sasquash-prod": "nobody",
    }


def test_each_closed_resource_has_its_private_endpoints(deploy: Deploy) -> None:
    """Groups: learn.microsoft.com, "Azure private endpoint private DNS zone values"."""
    snapshot = deploy(privateNetwork=True)
    ours = {
        "blob": "blob",
        "queue": "queue",
        "table": "table",
        "vault": "vault",
        "responder": "sites",
        "topic": "topic",
    }

    assert endpoints(snapshot) == ours | {"intake-blob": "blob", "intake-table": "table", "intake-vault": "vault"}
    assert all("virtualNetworkSubnetId" in each["properties"] for each in snapshot.of_type("Microsoft.Web/sites"))


def test_intake_that_is_not_public_has_a_private_endpoint(deploy: Deploy) -> None:
    snapshot = deploy(privateNetwork=True, publicIntake=False)

    assert access(snapshot)["func-sasquash-in-prod"] == "nobody"
    assert endpoints(snapshot)["intake"] == "sites"


def test_one_app_in_a_private_network_is_closed(deploy: Deploy) -> None:
    """It holds the rights on the accounts: reports come from the network."""
    snapshot = deploy(privateNetwork=True, separateIntake=False)

    assert access(snapshot)["func-sasquash-prod"] == "nobody"
    assert "intake" not in endpoints(snapshot)


def test_scanners_publish_from_their_addresses_only(deploy: Deploy) -> None:
    snapshot = deploy(privateNetwork=True, publisherAddresses="203.0.113.7, 198.51.100.0/24")
    topic = snapshot.one("Microsoft.EventGrid/topics")["properties"]

    assert access(snapshot)["egt-sasquash-prod"] == "addresses"
    assert topic["inboundIpRules"] == [
        {"ipMask": "203.0.113.7", "action": "Allow"},
        {"ipMask": "198.51.100.0/24", "action": "Allow"},
    ]


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"publicIntake": False}, "nothing could reach the intake"),
        ({"publisherAddresses": "203.0.113.7"}, "the apps themselves could not publish"),
        ({"privateNetwork": True, "dnsZoneIds": "/b,/q,/t,/v"}, "six ids"),
    ],
    ids=str,
)
def test_choice_that_would_cut_something_off_is_refused(deploy: Deploy, choices: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        deploy(**choices)


def test_topic_may_add_messages_to_the_queue_of_findings_and_to_no_other(deploy: Deploy) -> None:
    """Role: "Grant managed identity the access to Event Grid destination", Azure Queue storage."""

    def rights_of_topic(snapshot: Snapshot) -> set[tuple[str, str]]:
        granted = [each for each in snapshot.of_type(ASSIGNMENT) if "topics" in each["properties"]["principalId"]]
        return {
            (each["id"].partition(f"/providers/{ASSIGNMENT}")[0].rpartition("/")[2],
             each["properties"]["roleDefinitionId"].rpartition("/")[2])
            for each in granted
        }  # fmt: skip

    dead_letters = (background.DEAD_LETTERS, BLOB_DATA_CONTRIBUTOR)
    assert rights_of_topic(deploy()) == {dead_letters}
    assert rights_of_topic(deploy(privateNetwork=True)) == {dead_letters, (FINDINGS_QUEUE, QUEUE_DATA_MESSAGE_SENDER)}


ZONES = {
    "blob": "privatelink.blob.core.windows.net",
    "queue": "privatelink.queue.core.windows.net",
    "table": "privatelink.table.core.windows.net",
    "vault": "privatelink.vaultcore.azure.net",
    "sites": "privatelink.azurewebsites.net",
    "topic": "privatelink.eventgrid.azure.net",
}
"""learn.microsoft.com, "Azure private endpoint private DNS zone values", commercial cloud."""


def of_public_cloud(text: str) -> str:
    """A name or id as a deployment to the public cloud has it: which cloud it is, the compiler does not know."""
    functions = pure() | {"environment": lambda: _ENVIRONMENT, "resourceid": lambda *parts: f"/{parts[-1]()}"}
    return str(evaluated(text, functions))


def zones_of(snapshot: Snapshot) -> dict[str, str]:
    """The zone of each group's names, by the last part of its id."""
    groups = snapshot.of_type("Microsoft.Network/privateEndpoints/privateDnsZoneGroups")
    configured = [each["properties"]["privateDnsZoneConfigs"][0] for each in groups]
    assert len(configured) in (0, len(endpoints(snapshot)))
    ids = {each["name"]: of_public_cloud(each["properties"]["privateDnsZoneId"]) for each in configured}
    return {group: zone.rpartition("/")[2] for group, zone in ids.items()}


def test_names_are_in_zones_of_the_deployment_linked_to_its_network(deploy: Deploy) -> None:
    snapshot = deploy(privateNetwork=True)
    names, links = (
        [of_public_cloud(each["name"]) for each in snapshot.of_type(f"Microsoft.Network/{kind}")]
        for kind in ("privateDnsZones", "privateDnsZones/virtualNetworkLinks")
    )

    assert zones_of(snapshot) == ZONES
    assert set(names) == set(ZONES.values())
    assert set(links) == {f"{name}/vnet-sasquash-prod" for name in names}


def test_names_of_private_endpoints_are_in_the_given_zones(deploy: Deploy) -> None:
    snapshot = deploy(privateNetwork=True, dnsZoneIds=",".join(f"/zones/{group}" for group in ZONES))

    assert zones_of(snapshot) == {group: group for group in ZONES}
    assert snapshot.of_type("Microsoft.Network/privateDnsZones") == []


def test_policy_that_adds_the_names_is_left_alone(deploy: Deploy) -> None:
    snapshot = deploy(privateNetwork=True, dnsZoneIds="policy")

    assert (zones_of(snapshot), snapshot.of_type("Microsoft.Network/privateDnsZones")) == ({}, [])
