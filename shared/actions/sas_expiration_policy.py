"""The SAS expiration policy of an account as ARM has it, and what the action makes of it. Pure.

Source: Microsoft.Storage (azure-rest-api-specs, 2026-09-01), SasPolicy: `sasExpirationPeriod` and `expirationAction`
(Log or Block) are required; what a request leaves out is not kept.
"""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from shared.domain import sas_period
from shared.domain.account import AccountFacts, SasPolicy
from shared.errors import Blocked

type Policy = Mapping[str, Any]
"""ARM's `sasPolicy`: in the actions only, and as JSON text in a `LockedDown`."""


def is_in_force(policy: SasPolicy | None, period: timedelta) -> bool:
    """Whether Azure is to refuse every SAS that is valid for longer than `period`, or that has no start."""
    return policy is not None and policy.blocks and policy.period is not None and policy.period <= period


def current(account: AccountFacts) -> Policy | None:
    """Return the account's present policy, None where it has none. Raises Blocked for one that can't be recorded."""
    policy = account.sas_policy
    if policy is None:
        return None
    known = json.loads(policy.text) if policy.text else None
    if not isinstance(known, dict) or policy.period is None:
        raise Blocked(
            f"The SAS expiration policy of {account.name} can't be read, so it could not be put back. Change it by "
            "hand (az storage account update --sas-expiration-period --sas-expiration-action Block)."
        )
    return known


def blocking(policy: Policy | None, period: timedelta) -> Policy:
    """Return the policy that blocks what is valid for longer than `period`; its other members stay."""
    return {
        **(policy or {}),
        "sasExpirationPeriod": sas_period.text_of(period),
        "expirationAction": "Block",
    }


def put_back(before: Policy | None, after: Policy) -> Policy:
    """Return the policy that undoes the change.

    No document says how to remove a policy, and Terraform's provider can't (hashicorp/terraform-provider-azurerm,
    storage_account_resource.go: "can not be disabled once enabled"). With the action Log it refuses nothing.
    """
    return before if before is not None else {**after, "expirationAction": "Log"}


def text_of(policy: Policy | None) -> str:
    """Return a policy as JSON, for a record."""
    return json.dumps({"sasPolicy": policy}, sort_keys=True, separators=(",", ":"))


def read(text: str) -> Policy | None:
    """Return the policy that `text_of` wrote."""
    found = json.loads(text)["sasPolicy"]
    return found if isinstance(found, dict) else None


def is_same(one: Policy | None, other: Policy | None) -> bool:
    """Whether two policies say the same. A member that is null is as good as missing."""
    return _said(one) == _said(other)


def _said(policy: Policy | None) -> dict[str, Any]:
    said = {name: value for name, value in (policy or {}).items() if value is not None}
    period = sas_period.parse(said.get("sasExpirationPeriod"))
    return said | ({"sasExpirationPeriod": period} if period is not None else {})
