"""The other stored access policies at the place of a leak: tokens under them still work.

Source: REST, "Get Container ACL", and the like for queues, tables and shares.
"""

from dataclasses import dataclass

from shared.actions.acl.data_plane import Unreachable
from shared.actions.acl.policies import SignedIdentifier
from shared.actions.action import signer
from shared.actions.registry import Actions
from shared.actions.stored_policy import list_policies_command
from shared.domain.account import AccountFacts
from shared.domain.revocation import Revocation
from shared.domain.target import KEY_NAMES, ActionKind, InvalidTarget, PolicyTarget
from shared.domain.text import Foreign, RichText, utc


@dataclass(frozen=True, slots=True)
class OtherPolicies:
    """Reads the policies of the leaked container, queue, table or share."""

    actions: Actions

    async def of(self, revocation: Revocation, account: AccountFacts) -> tuple[RichText, ...]:
        """Return at most one sentence, none if no other policy grants access. Raises TransientFailure or Blocked."""
        target = _target(revocation)
        execution = revocation.execution
        unrevoked = execution is not None and not execution.revokes
        if target is None or target.service not in account.endpoints or unrevoked or not account.shared_key_access:
            return ()
        keys = await self.actions.account_key.keys(account)
        try:
            policies = await self.actions.stored_policy.in_force(account, target, key=signer(keys, None))
        except Unreachable as error:
            return (RichText.of(f"Not checked: other stored access policies of {target.place}. {error}"),)
        ended = _ended(revocation)
        others = tuple(policy for policy in policies if policy.id != ended)
        return (_said(revocation, account, target, others),) if others else ()


def _ended(revocation: Revocation) -> str | None:
    """Return the id of the policy that was revoked, if any: its verification is reported elsewhere."""
    execution = revocation.execution
    return (
        PolicyTarget.parse(execution.target).policy
        if execution is not None and execution.action is ActionKind.STORED_POLICY
        else None
    )


def _target(revocation: Revocation) -> PolicyTarget | None:
    """Return a target at the leaked place, for any policy; None if the place is unknown."""
    order, credential = revocation.finding.order, revocation.finding.credential
    if order is not None and order.action is ActionKind.STORED_POLICY:
        return PolicyTarget.parse(order.target)
    if credential is None or credential.service is None or credential.container is None:
        return None
    try:
        return PolicyTarget(credential.service, credential.container, "any")
    except InvalidTarget:
        return None


def _said(
    revocation: Revocation, account: AccountFacts, target: PolicyTarget, others: tuple[SignedIdentifier, ...]
) -> RichText:
    execution = revocation.execution
    rotated = execution.target if execution is not None and execution.action is ActionKind.ACCOUNT_KEY else None
    signed = f" and signed by {next(key for key in KEY_NAMES if key != rotated)}" if rotated is not None else ""
    listing = list_policies_command(account.id, target)
    how = (": ", listing) if listing is not None else ()
    count = f"{len(others)} other stored access policies" if len(others) > 1 else "Another stored access policy"
    return RichText.of(
        f"{count} still allow{'' if len(others) > 1 else 's'} access to {target.place}: "
        f"{'; '.join(map(_described, others))}. Tokens issued under one{signed} still work. Check each policy",
        *how,
        ".",
    )


def _described(policy: SignedIdentifier) -> str:
    may = str(Foreign(policy.permissions or "", limit=20)) or "permissions set by each token"
    begin = f", from {Foreign(policy.start, limit=40)}" if policy.start else ""
    if policy.expires is not None:
        end = f"until {utc(policy.expires)}"
    else:
        end = f"until {Foreign(policy.expiry, limit=40)}" if policy.expiry else "no expiry"
    return f"{Foreign(policy.id, limit=64)} ({may}{begin}, {end})"
