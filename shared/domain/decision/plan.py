"""Plans: what an action would do, to what, why, in which steps, and with which impact. Pure."""

import hashlib

from shared.domain.account import AccountFacts
from shared.domain.decision.action_spec import NOTIFY, ActionSpec
from shared.domain.execution import Plan
from shared.domain.target import ActionKind, PolicyTarget


def make(
    account: AccountFacts, action: ActionSpec, target: str, *, version: str, reason: str, beside: str = ""
) -> Plan:
    """Return the plan to run `action` on `target`, whose `version` is what a decision binds to.

    `beside` is what else it binds to: see `ActionSpec.beside`.
    """
    off = "" if account.shared_key_access else action.if_shared_key_is_off(target)
    return Plan(
        action=action.kind,
        account_id=account.id,
        target=target,
        version=version,
        reason=f"{reason} {off}".rstrip(),
        steps=action.steps(account, target),
        impact=action.impact(account, target),
        digest=digest(action=action.kind, account_id=account.id, target=target, version=f"{version}{beside}"),
    )


def tombstone(account: AccountFacts, target: PolicyTarget, *, version: str, reason: str) -> Plan:
    """Return the plan to leave a tombstone for a stored access policy that does not exist: it affects no consumer."""
    action = ActionKind.STORED_POLICY
    left = f"Leave a tombstone for {target.title} of {account.name}: the same id with an end in the past."
    return Plan(
        action=action,
        account_id=account.id,
        target=str(target),
        version=version,
        reason=reason,
        steps=(left, NOTIFY),
        impact=(),
        digest=digest(action=action, account_id=account.id, target=str(target), version=version),
    )


def digest(*, action: str, account_id: str, target: str, version: str) -> str:
    """Return what a person's decision binds to. It goes stale with what `version` stands for."""
    parts = (action, account_id.lower(), version, target)  # the target last: a policy's id may hold any character
    return hashlib.sha256("|".join(parts).encode()).hexdigest()
