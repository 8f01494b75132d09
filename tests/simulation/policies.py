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
    end = _end(found)
    return end is not None and end <= now


def means_the_same(one: SignedIdentifier | None, other: SignedIdentifier) -> bool:
    """Whether two policies are the same to Azure: ARM writes out the time of an end that is a date."""
    if one is None or one.policy is None or other.policy is None:
        return one == other
    granted, expected = one.policy, other.policy
    return (one.id, granted.start, granted.permission, _end(one)) == (
        other.id,
        expected.start,
        expected.permission,
        _end(other),
    )


def _end(identifier: SignedIdentifier) -> datetime | None:
    end = identifier.policy.expiry if identifier.policy is not None else None
    return datetime.fromisoformat(str(end)).replace(tzinfo=UTC) if end else None


def _found(identifiers: Iterable[SignedIdentifier], policy_id: str) -> SignedIdentifier | None:
    return next((one for one in identifiers if one.id == policy_id), None)
