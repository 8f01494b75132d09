"""What would be done: to what, why, step by step, and who breaks. Pure."""

import hashlib

from shared.domain import action_text
from shared.domain.account import KEY_VAULT_TAG, AccountFacts, Removal, tag_in
from shared.domain.revocation import Plan
from shared.domain.target import ActionKind, Lockdown

_TELL = "File the incident and tell the owners."
_SHARED_KEY_OFF = (
    " Shared key access to the account is off at the moment: nothing that a key signed is accepted while that stays "
    "so. The plan stands, since it may be switched on again."
)
_LOCKED_ALREADY = " Shared key access to the account is off already."


def make(
    account: AccountFacts,
    *,
    action: ActionKind,
    target: str,
    version: str,
    reason: str,
    impact: tuple[str, ...],
    gone: bool = False,
) -> Plan:
    """Return the plan to pull `lever` on `target`, whose `version` is what a decision binds to.

    `gone`: the stored access policy is not there, and only a tombstone is left for it, which breaks nobody.
    """
    return Plan(
        action=action,
        account_id=account.id,
        target=target,
        version=version,
        reason=f"{reason}{_on_shared_key(account, action, target)}",
        steps=_tombstone_steps(account, target) if gone else _steps(account, action, target),
        impact=impact,
        digest=digest(action=action, account_id=account.id, target=target, version=version),
    )


def digest(*, action: str, account_id: str, target: str, version: str) -> str:
    """Return what a person's decision binds to. It goes stale with what `version` stands for."""
    parts = (action, account_id.lower(), version, target)  # the target last: a policy's id may hold any character
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


def lockdown_version(account: AccountFacts, kind: Lockdown) -> str:
    """Return what a lockdown's plan binds to, as SHA-256 (hex): how open the account is now."""
    if kind is Lockdown.SHARED_KEY:
        state = f"allowSharedKeyAccess={account.shared_key_access}"
    else:
        state = f"publicNetworkAccess={account.public_network_access}|networkAcls={account.network_rules}"
    return hashlib.sha256(state.encode()).hexdigest()


def _on_shared_key(account: AccountFacts, action: ActionKind, target: str) -> str:
    if account.shared_key_access or action is ActionKind.DELEGATION_KEY or target == Lockdown.NETWORK:
        return ""
    return _LOCKED_ALREADY if action is ActionKind.LOCKDOWN else _SHARED_KEY_OFF


def _steps(account: AccountFacts, action: ActionKind, target: str) -> tuple[str, ...]:
    if action is ActionKind.ACCOUNT_KEY:
        return _key_steps(account, target)
    if action is ActionKind.LOCKDOWN:
        return _lockdown_steps(account, Lockdown(target))
    if action is ActionKind.STORED_POLICY:
        return (
            _policy_step(account, target),
            "Prove by a token of our own under the policy that it is refused.",
            _TELL,
        )
    return (
        f"Revoke all user delegation keys of {account.name}, once.",
        "Prove by a token of our own that what they signed is refused.",
        _TELL,
    )


def _key_steps(account: AccountFacts, key: str) -> tuple[str, ...]:
    key_distribution = (
        f"Hand the new {key} over to the key vault's secret that the account's tag {KEY_VAULT_TAG} names, if the "
        "settings allow it and the secret holds the old one."
    )
    return (
        f"Regenerate {key} of {account.name}, once; the other key stays as it is.",
        f"Prove by a token of our own that the old {key} is refused.",
        *((key_distribution,) if tag_in(account.tags, KEY_VAULT_TAG) else ()),
        _TELL,
    )


def _policy_step(account: AccountFacts, target: str) -> str:
    policy = action_text.policy(target)
    if account.removal is Removal.DELETE:
        return f"Delete {policy}, as the account's tag asks; every other policy there stays as it is."
    return f"End {policy} by a tombstone, the same id with an end in the past; every other policy stays as it is."


def _tombstone_steps(account: AccountFacts, target: str) -> tuple[str, ...]:
    tombstone = (
        f"Leave a tombstone for {action_text.policy(target)} of {account.name}: the same id with an end in the past."
    )
    return tombstone, _TELL


def _lockdown_steps(account: AccountFacts, kind: Lockdown) -> tuple[str, ...]:
    locked = (
        f"Switch shared key access to {account.name} off."
        if kind is Lockdown.SHARED_KEY
        else f"Close {account.name} to public networks; its own network rules stay as they are."
    )
    return (
        f"Note how {account.name} stands now, so that the lockdown can be undone.",
        locked,
        "Read back from ARM that it is so.",
        _TELL,
        "Have the credential itself revoked before a person undoes the lockdown: it works again from then on.",
    )
