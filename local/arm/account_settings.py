"""What an update of a storage account may change besides access and network rules, validated strictly.

azure-mgmt-storage 25.3.0, which is generated from Azure/azure-rest-api-specs (Microsoft.Storage):
StorageAccountUpdateParameters (sku, tags, identity, properties, kind) and StorageAccountPropertiesUpdateParameters.
Clients send back what they read: `az storage account update` 2.91 sends sku, tags, accessTier, encryption,
supportsHttpsTrafficOnly and networkAcls with every change.
"""

from typing import Any

from local.arm.protocol import invalid_content, invalid_value, reject_unknown

MEMBERS = frozenset({"sku", "identity", "kind"})
"""The members of an update beside `tags` and `properties`."""

_BOOLEANS = frozenset(
    {
        "supportsHttpsTrafficOnly",
        "isSftpEnabled",
        "isLocalUserEnabled",
        "allowCrossTenantReplication",
        "defaultToOAuthAuthentication",
    }
)
_ENUMS = {
    "accessTier": ("Hot", "Cool", "Premium", "Cold", "Smart"),
    "minimumTlsVersion": ("TLS1_0", "TLS1_1", "TLS1_2"),  # "Minimum TLS version 1.3 version is not supported"
    "largeFileSharesState": ("Disabled", "Enabled"),
    "allowedCopyScope": ("PrivateLink", "AAD", "All"),
}
PROPERTIES = frozenset({*_BOOLEANS, *_ENUMS, "encryption", "keyPolicy"})
"""The properties that `valid_property` knows."""

_SKUS = ("Standard_LRS", "Standard_GRS", "Standard_RAGRS", "Standard_GZRS", "Standard_RAGZRS")
_FIXED_SKUS = ("Standard_ZRS", "Premium_LRS", "Premium_ZRS")  # neither to nor from one of them
_IDENTITIES = ("None", "SystemAssigned", "UserAssigned", "SystemAssigned,UserAssigned")


def valid_member(name: str, value: object) -> Any:
    """Return `sku`, `identity` or `kind` as ARM shows it. Raises ArmError (400) if it is invalid."""
    if name == "kind":  # "Currently only StorageV2 value supported by server"
        return _one_of(value, ("StorageV2",), "kind")
    members = _object(value, name)
    if name == "identity":
        reject_unknown(members, frozenset({"type", "userAssignedIdentities"}), of="Identity")
        return {"type": _one_of(members.get("type"), _IDENTITIES, "identity.type")}
    reject_unknown(members, frozenset({"name", "tier"}), of="Sku")
    sku = members.get("name")
    if sku in _FIXED_SKUS:
        raise invalid_value("sku.name")
    return {"name": _one_of(sku, _SKUS, "sku.name"), "tier": "Standard"}


def valid_property(name: str, value: object) -> Any:
    """Return a property as ARM shows it. Raises ArmError (400) if it is invalid."""
    if name in _BOOLEANS:
        if not isinstance(value, bool):
            raise invalid_value(name)
        return value
    if name in _ENUMS:
        return _one_of(value, _ENUMS[name], name)
    members = _object(value, name)
    if name == "encryption":
        reject_unknown(members, frozenset({"services", "keySource", "requireInfrastructureEncryption"}), of=name)
        # A key of Key Vault would need keyvaultproperties, which no account here has.
        return members | {
            "keySource": _one_of(members.get("keySource"), ("Microsoft.Storage",), "encryption.keySource")
        }
    reject_unknown(members, frozenset({"keyExpirationPeriodInDays"}), of="KeyPolicy")
    days = members.get("keyExpirationPeriodInDays")
    if not isinstance(days, int) or isinstance(days, bool) or days < 0:
        raise invalid_value("keyPolicy.keyExpirationPeriodInDays")
    return members


def _one_of(value: object, known: tuple[str, ...], name: str) -> object:
    if value not in known:
        raise invalid_value(name)
    return value


def _object(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid_content(f"The member '{name}' must be an object.")
    return value
