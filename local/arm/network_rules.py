"""The network rules of a storage account (`networkAcls`), validated strictly.

Source: learn.microsoft.com/rest/api/storagerp/storage-accounts/update, NetworkRuleSet, IPRule, VirtualNetworkRule and
ResourceAccessRule. A given set replaces the previous one as a whole.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from local.arm.protocol import invalid_content, invalid_value, reject_unknown

EMPTY: dict[str, Any] = {"ipRules": [], "virtualNetworkRules": [], "resourceAccessRules": []}

_BYPASSES = frozenset({"None", "Logging", "Metrics", "AzureServices"})
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_RESOURCE_ID = re.compile(r"/subscriptions/[^/]+/(?:[^/]+/)*[^/]+")


def valid(value: object) -> dict[str, Any]:
    """Return the rules as ARM shows them. Raises ArmError (400) if they are invalid."""
    if not isinstance(value, dict):
        raise invalid_content("The member 'networkAcls' must be an object.")
    known = frozenset(
        {"defaultAction", "bypass", "ipRules", "ipv6Rules", "virtualNetworkRules", "resourceAccessRules"}
    )
    reject_unknown(value, known, of="NetworkRuleSet")
    if value.get("defaultAction") not in ("Allow", "Deny"):
        raise invalid_value("networkAcls.defaultAction")
    bypass = value.get("bypass", "AzureServices")
    if not isinstance(bypass, str) or not {part.strip() for part in bypass.split(",")} <= _BYPASSES:
        raise invalid_value("networkAcls.bypass")
    rules = {
        "ipRules": _rules(value, "ipRules", _ip_rule),
        "virtualNetworkRules": _rules(value, "virtualNetworkRules", _network_rule),
        "resourceAccessRules": _rules(value, "resourceAccessRules", _resource_rule),
    }
    if "ipv6Rules" in value:
        rules["ipv6Rules"] = _rules(value, "ipv6Rules", _ip_rule)
    return {"bypass": bypass, "defaultAction": value["defaultAction"], **rules}


def _rules(value: dict[str, Any], name: str, read: Callable[[dict[str, Any]], dict[str, Any] | None]) -> list[Any]:
    rules = value.get(name) or []
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise invalid_content(f"The member 'networkAcls.{name}' must be a list of objects.")
    found = [read(rule) for rule in rules]
    if None in found:
        raise invalid_value(f"networkAcls.{name}")
    return found


def _ip_rule(rule: dict[str, Any]) -> dict[str, Any] | None:
    reject_unknown(rule, frozenset({"value", "action"}), of="IPRule")
    try:
        ipaddress.ip_network(str(rule.get("value", "")))
    except ValueError:
        return None
    return {"value": rule["value"], "action": "Allow"} if rule.get("action", "Allow") == "Allow" else None


def _network_rule(rule: dict[str, Any]) -> dict[str, Any] | None:
    reject_unknown(rule, frozenset({"id", "action", "state"}), of="VirtualNetworkRule")
    if not _RESOURCE_ID.fullmatch(str(rule.get("id", ""))) or rule.get("action", "Allow") != "Allow":
        return None
    return {"id": rule["id"], "action": "Allow", "state": "Succeeded"}


def _resource_rule(rule: dict[str, Any]) -> dict[str, Any] | None:
    reject_unknown(rule, frozenset({"tenantId", "resourceId"}), of="ResourceAccessRule")
    good = _GUID.fullmatch(str(rule.get("tenantId", ""))) and _RESOURCE_ID.fullmatch(str(rule.get("resourceId", "")))
    return dict(rule) if good else None
