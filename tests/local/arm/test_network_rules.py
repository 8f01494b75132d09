"""Validation of `networkAcls`."""

from typing import Any

import pytest

from local.arm.network_rules import valid
from local.arm.protocol import ArmError

SUBNET = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/n"
TENANT = "7e1d5f0a-6c1b-4f0e-9d51-0a6d1c3e9b11"


def test_rules_are_shown_in_full() -> None:
    given = {
        "defaultAction": "Deny",
        "bypass": "Logging, Metrics",
        "ipRules": [{"value": "203.0.113.0/24"}],
        "virtualNetworkRules": [{"id": SUBNET}],
        "resourceAccessRules": [{"tenantId": TENANT, "resourceId": SUBNET}],
    }
    assert valid(given) == {
        "defaultAction": "Deny",
        "bypass": "Logging, Metrics",
        "ipRules": [{"value": "203.0.113.0/24", "action": "Allow"}],
        "virtualNetworkRules": [{"id": SUBNET, "action": "Allow", "state": "Succeeded"}],
        "resourceAccessRules": [{"tenantId": TENANT, "resourceId": SUBNET}],
    }


def test_shown_rules_can_be_sent_again() -> None:
    shown = valid(
        {"defaultAction": "Allow", "ipRules": [{"value": "203.0.113.1"}], "virtualNetworkRules": [{"id": SUBNET}]}
    )
    assert valid(shown) == shown


@pytest.mark.parametrize(
    "change",
    [
        {"defaultAction": "Block"},
        {"defaultAction": None},
        {"bypass": "Everything"},
        {"bypass": ["AzureServices"]},
        {"rules": []},
        {"ipRules": "203.0.113.1"},
        {"ipRules": ["203.0.113.1"]},
        {"ipRules": [{"value": "somewhere"}]},
        {"ipRules": [{"value": "203.0.113.1", "action": "Deny"}]},
        {"ipRules": [{"value": "203.0.113.1", "comment": ""}]},
        {"virtualNetworkRules": [{"id": "subnet"}]},
        {"virtualNetworkRules": [{}]},
        {"resourceAccessRules": [{"tenantId": TENANT}]},
        {"resourceAccessRules": [{"tenantId": "t", "resourceId": SUBNET}]},
    ],
)
def test_rules_of_another_shape_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ArmError) as caught:
        valid({"defaultAction": "Deny", **change})
    assert caught.value.status == 400


@pytest.mark.parametrize("value", [None, [], "Deny"])
def test_rules_are_an_object(value: object) -> None:
    with pytest.raises(ArmError):
        valid(value)
