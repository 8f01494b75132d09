"""The settings of an account that a lockdown changes, as ARM names them: what is locked, and what differs. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from shared.cloud.accounts import Access
from shared.domain.account import AccountFacts
from shared.domain.target import Lockdown
from shared.errors import Blocked

type Properties = Mapping[str, Any]
"""The properties that a lockdown is about: in the actions only, and as JSON text in a `LockedDown`."""


def current(account: AccountFacts, kind: Lockdown) -> Properties:
    """Return the account's present settings. Raises Blocked where they are too long to be recorded."""
    if kind is Lockdown.NETWORK and not account.network_rules:
        raise Blocked(
            f"{account.name} has too many network rules to record how to undo the lockdown. Lock it down by hand "
            "(az storage account update --default-action Deny)."
        )
    access = Access(account.shared_key_access, account.public_network_access, account.network_rules)
    return properties_of(kind, access)


def properties_of(kind: Lockdown, access: Access) -> Properties:
    """Return the settings in what ARM answered."""
    if kind is Lockdown.SHARED_KEY:
        return {"allowSharedKeyAccess": access.shared_key}
    rules = {"defaultAction": "Allow"} | json.loads(access.network_rules)
    if "virtualNetworkRules" in rules:  # whose `state` is set by Azure, and changes by itself
        rules["virtualNetworkRules"] = [
            {name: value for name, value in rule.items() if name != "state"} for rule in rules["virtualNetworkRules"]
        ]
    return {"networkAcls": rules, "publicNetworkAccess": access.public_network}


def is_locked(kind: Lockdown, properties: Properties) -> bool:
    """Whether the lockdown is in force."""
    if kind is Lockdown.SHARED_KEY:
        return properties["allowSharedKeyAccess"] is False
    default_action: str = properties["networkAcls"]["defaultAction"]
    return default_action == "Deny" or properties["publicNetworkAccess"] == "Disabled"


def locked(kind: Lockdown, properties: Properties) -> Properties:
    """Return `properties` locked, with every rule that lets somebody in as it is."""
    if is_locked(kind, properties):
        return properties
    if kind is Lockdown.SHARED_KEY:
        return {"allowSharedKeyAccess": False}
    return {**properties, "networkAcls": properties["networkAcls"] | {"defaultAction": "Deny"}}


def change(properties: Properties) -> Properties:
    """Return what is sent: a lockdown never touches publicNetworkAccess."""
    return {name: value for name, value in properties.items() if name != "publicNetworkAccess"}


def text_of(properties: Properties) -> str:
    """Return the settings as JSON, for a record."""
    return json.dumps(properties, sort_keys=True, separators=(",", ":"))


def differences(one: Properties, other: Properties) -> tuple[str, ...]:
    """Return the names of what is not the same, as in "networkAcls.ipRules". The order of rules says nothing."""
    left, right = _flat(one), _flat(other)
    return tuple(name for name in sorted({*left, *right}) if left.get(name) != right.get(name))


def _flat(properties: Properties) -> dict[str, str]:
    """Return each member as text; one that is null or an empty list is as good as missing."""
    rules = properties.get("networkAcls", {})
    members = {f"networkAcls.{name}": value for name, value in rules.items()}
    members |= {name: value for name, value in properties.items() if name != "networkAcls"}
    return {
        name: json.dumps(sorted(json.dumps(rule, sort_keys=True) for rule in value))
        if isinstance(value, list)
        else json.dumps(value)
        for name, value in members.items()
        if value not in (None, [])
    }
