"""Verification tokens under a stored access policy, and their controls. Pure.

A token must not repeat what its policy says: Azure refuses a field that is in both (REST, "Define a stored
access policy"). Each is for one random object within the policy's resource. A queue has none, and peeking would read
its messages; there, the token asks for the queue's metadata, and nothing of the answer is kept.

A token of a policy has no start: a SAS expiration policy of the account does not apply to it (azure-docs,
sas-expiration-policy.md), and its own policy may have one. The control has one.
"""

import hmac
from dataclasses import replace
from datetime import datetime

from shared.actions.verification import Probe, Subject, control_start
from shared.domain.account import AccountFacts, PolicyReading
from shared.domain.execution import VerificationToken
from shared.domain.target import PolicyTarget
from shared.sas import Service, mint_read_token

_OF_THE_POLICY = Subject(
    "a token of the policy",
    "a token without the policy, signed by the same key,",
    control_decides=True,
    accepted="its signature was found good",
)


def mint(account: AccountFacts, reading: PolicyReading, name: str, *, key: str, ends: datetime) -> VerificationToken:
    """Return a token of the policy for the object `name`, signed by `key` (base64).

    It ends at `ends`, or with the policy where that has an end; `expires` is the earlier of the two.
    """
    target = reading.target
    path = _path(target, name)
    query = mint_read_token(
        service=target.service,
        account=account.name,
        resource=_signed(target, path),
        starts=None,
        expires=ends if reading.expires is None else None,
        key=key,
        policy=target.policy,
        permissions="r" if reading.permissions is None else None,
    )
    expires = ends if reading.expires is None else min(ends, reading.expires)
    return VerificationToken(target.service, f"{account.endpoints[target.service]}{path}", query, expires)


def probe(token: VerificationToken, target: PolicyTarget, account: AccountFacts, *, key: str) -> Probe:
    """Return the question whether `token`, signed by `key` as it is now, is refused because of its policy alone.

    Azure would refuse a token that another key signed for that reason: what was known of it does not apply then.
    """
    resource = _signed(target, token.url.removeprefix(account.endpoints[token.service]))
    names = {pair.partition("=")[0] for pair in token.query.split("&")}
    again = mint_read_token(
        service=token.service,
        account=account.name,
        resource=resource,
        starts=None,
        expires=token.expires if "se" in names else None,
        key=key,
        policy=target.policy,
        permissions="r" if "sp" in names else None,
    )
    control = mint_read_token(
        service=token.service,
        account=account.name,
        resource=resource,
        starts=control_start(account, token.expires),
        expires=token.expires,
        key=key,
    )
    before = token.accepted_before if hmac.compare_digest(again, token.query) else None
    return Probe(_OF_THE_POLICY, replace(token, query=again, accepted_before=before), control)


def _path(target: PolicyTarget, name: str) -> str:
    match target.service:
        case Service.QUEUE:
            return f"{target.resource}?comp=metadata"
        case Service.TABLE:
            return f"{target.resource}(PartitionKey='{name}',RowKey='{name}')"
        case _:
            return f"{target.resource}/{name}"


def _signed(target: PolicyTarget, path: str) -> str:
    """Return the resource that the token for `path` is signed for."""
    return path if target.service in (Service.BLOB, Service.FILE) else target.resource
