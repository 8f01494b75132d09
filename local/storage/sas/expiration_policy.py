"""The SAS expiration policy of an account, as the data plane enforces it.

Source: "Configure an expiration policy for shared access signatures" (MicrosoftDocs/azure-docs,
articles/storage/common/sas-expiration-policy.md of 2025-07-30). With the action Block, a SAS without a signed start,
or with a longer validity interval than the upper limit, is refused. The action does not apply to a service SAS with a
stored access policy, nor to a user delegation SAS at the HDFS endpoint.

The text for a missing start is that of AzureStorageExplorer#8845. For the other refusals only the first words are
known, which the page's query for `SasExpiryStatus` has. No source says whether Azure checks the policy before or
after the signature. It is before here, where a refusal says least.
"""

import re
from datetime import timedelta

from local.storage.errors import Refusal
from local.storage.sas.token import Kind, Token
from local.storage.times import moment
from local.tenant.model import Account, now

_PERIOD = re.compile(r"(\d{1,5})\.(\d{2}):(\d{2}):(\d{2})", re.ASCII)
_NO_START = "Policy violated by no signed start."
_TOO_LONG = "Policy violated by signed expiry."
_NOT_BOUND = "Policy violated by no signed delegated user."


def check(token: Token, account: Account, endpoint: str) -> None:
    """Return if the account's policy allows the token at this endpoint. Raises Refusal (AuthenticationFailed)."""
    policy = account.sas_policy(now())
    if policy is None or (token.kind is Kind.DELEGATION and endpoint == "dfs"):
        return
    must_be_bound = policy.get("requireUserBoundUserDelegationSas") is True
    blocks_unbound = must_be_bound and policy.get("requireUserBoundUserDelegationSasAction") == "Block"
    if blocks_unbound and token.kind is Kind.DELEGATION and not token.get("sduoid"):
        raise Refusal("AuthenticationFailed", _NOT_BOUND)
    if policy.get("expirationAction") != "Block" or (token.kind is Kind.SERVICE and token.get("si")):
        return
    start, expiry = moment(token.get("st")), moment(token.get("se"))
    if start is None:
        raise Refusal("AuthenticationFailed", _NO_START)
    if expiry is None or expiry - start > period_of(policy["sasExpirationPeriod"]):
        raise Refusal("AuthenticationFailed", _TOO_LONG)


def period_of(text: str) -> timedelta:
    """Return the upper limit that `sasExpirationPeriod` says, "DD.HH:MM:SS". Raises ValueError for another form."""
    match = _PERIOD.fullmatch(text)
    days, hours, minutes, seconds = (int(part) for part in match.groups()) if match else (0, 24, 0, 0)
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ValueError("A SAS expiration period has the form DD.HH:MM:SS.")
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
