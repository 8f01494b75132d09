"""The SAS expiration policy of a storage account (`sasPolicy`), validated strictly.

Source: SasPolicy in the published specification of Microsoft.Storage (azure-rest-api-specs; models of
azure-mgmt-storage 25.3.0): `sasExpirationPeriod` ("DD.HH:MM:SS") and `expirationAction` (Log or Block) are required.
"If you attempt to configure a SAS expiration policy and the keys need to be rotated first, the operation fails":
where `keyCreationTime` is null for one (MicrosoftDocs/azure-docs, sas-expiration-policy.md). No document has the code
of that answer. Versions up to 2025-06-01 know no more. Later ones have `requireUserBoundUserDelegationSas` and its
action.
"""

from typing import Any

from local.arm.protocol import ArmError, invalid_content, invalid_value, reject_unknown
from local.storage.sas.expiration_policy import period_of
from local.tenant.model import Account

_LAST_WITHOUT_BINDING = "2025-06-01"
_REQUIRED = frozenset({"sasExpirationPeriod", "expirationAction"})
_BINDING = frozenset({"requireUserBoundUserDelegationSas", "requireUserBoundUserDelegationSasAction"})


def valid(value: object, *, version: str) -> dict[str, Any]:
    """Return the policy of a request of this api-version. Raises ArmError (400) if it is invalid."""
    if not isinstance(value, dict):
        raise invalid_content("The member 'sasPolicy' must be an object.")
    reject_unknown(value, _REQUIRED | (_BINDING if version > _LAST_WITHOUT_BINDING else frozenset()), of="SasPolicy")
    period = value.get("sasExpirationPeriod")
    try:
        period_of(period if isinstance(period, str) else "")
    except ValueError:
        raise invalid_value("sasPolicy.sasExpirationPeriod") from None
    if value.get("expirationAction") not in ("Log", "Block"):
        raise invalid_value("sasPolicy.expirationAction")
    if not isinstance(value.get("requireUserBoundUserDelegationSas", False), bool):
        raise invalid_value("sasPolicy.requireUserBoundUserDelegationSas")
    if value.get("requireUserBoundUserDelegationSasAction", "None") not in ("None", "Log", "Block"):
        raise invalid_value("sasPolicy.requireUserBoundUserDelegationSasAction")
    return value


def require_key_times(account: Account) -> None:
    """Raise ArmError (400) for an account with a key that was made before Azure kept the time."""
    if not {"key1", "key2"} <= account.key_created.keys():
        raise ArmError(
            400,
            "InvalidValuesForRequestParameters",
            "Values for request parameters are invalid: sasPolicy. Rotate both access keys at least once first.",
        )
