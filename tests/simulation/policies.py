"""Stored access policies as the model of an account has them, judged by the text of Azure's rules alone."""

from collections.abc import Iterable
from datetime import UTC, datetime

from local.tenant.model import Account, SignedIdentifier


def held(account: Account, key: tuple[str, str], policy_id: str) -> SignedIdentifier | None:
    """Return the policy of this id on a resource; None if there is none."""
    return _found(account.policies.get(key, ()), policy_id)


def ends_in(account: Account, key: tuple[str, str], policy_id: str, *, now: datetime) -> bool:
    """Whether a policy refuses every token that names it: it is missing, or its end has passed."""
    found = held(account, key, policy_id)
    if found is None:
        return True
    end = found.policy.expiry if found.policy is not None else None
    return bool(end) and datetime.fromisoformat(str(end)).replace(tzinfo=UTC) <= now


def _found(identifiers: Iterable[SignedIdentifier], policy_id: str) -> SignedIdentifier | None:
    return next((one for one in identifiers if one.id == policy_id), None)
