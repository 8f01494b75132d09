"""Which key is behind a leak, by arithmetic alone; and what is certain when none is (design decisions 1 and 10)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.account import PolicyReading, PolicyState
from shared.domain.revocation import Reason
from shared.domain.target import ActionKind, InvalidTarget, PolicyTarget
from shared.sas import Credential, Kind, Undecidable, key_sha256, verify

_UNDECIDABLE = {
    Undecidable.UNKNOWN_VERSION: (
        Reason.UNKNOWN_VERSION,
        "The token's signed version is newer than any that this version of Sasquash can recompute. Treat it as "
        "live: find its key in the storage logs (AuthenticationHash) or rotate by hand.",
    ),
    Undecidable.PATH_LOST: (
        Reason.PATH_LOST,
        "The report does not say which resource the token was signed for, so its signature can't be recomputed. "
        "Report it again with the whole URL, its snapshot or versionid included.",
    ),
    Undecidable.LOOSE: (
        Reason.LOOSE,
        "The report does not say which storage account the token or key belongs to. Report it again with the "
        "account's name or the whole URL.",
    ),
}

_DORMANT = {
    PolicyState.GONE: (
        Reason.POLICY_GONE,
        "That policy is not there, so that Azure refuses its tokens. Making one of that id anew",
        "Have nobody make it again",
    ),
    PolicyState.TOMBSTONE: (
        Reason.POLICY_EXPIRED,
        "Sasquash has left a tombstone of that policy, so that Azure refuses its tokens. Changing it",
        "Leave the tombstone as it is",
    ),
    PolicyState.EXPIRED: (
        Reason.POLICY_EXPIRED,
        "That policy ended ({end}), so that Azure refuses its tokens. Moving its end",
        "Leave its end where it is",
    ),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Either the smallest `lever` that ends the leak, or a `reason` why there is none to pull.

    `key_name` and `key_sha256` are set where arithmetic proved that this key is behind it. No arithmetic can prove a
    user delegation SAS: its verdict has a lever and no key. So has that on a person's order, without a leak.
    """

    detail: str
    action: ActionKind | None = None
    key_name: str | None = None
    key_sha256: str | None = None
    reason: Reason | None = None


def expired(credential: Credential, *, now: datetime) -> Verdict | None:
    """Return the verdict on a token whose own end has passed, whoever signed it; None while it may live.

    No stored access policy can lengthen that: an end in both is refused. A user delegation SAS ends with its key.
    """
    end = credential.ends
    if end is None or end > now:
        return None
    return Verdict(
        f"The token expired at {end:%Y-%m-%d %H:%M} UTC; it opens nothing any more.",
        reason=Reason.EXPIRED,
    )


def attribute(credential: Credential, *, account: str, keys: Mapping[str, str]) -> Verdict:
    """Return which of `keys` (name → base64 key, read from ARM under the account's lock) is behind the leak."""
    if credential.kind is Kind.USER_DELEGATION_SAS:
        return Verdict(
            "A user delegation SAS: a key of Microsoft Entra ID signed it, which nobody can read back, so that no "
            "arithmetic tells whether it is genuine. No account key is behind it.",
            action=ActionKind.DELEGATION_KEY,
        )
    result = verify(credential, account=account, keys=keys)
    if result.undecidable is not None:
        reason, detail = _UNDECIDABLE[result.undecidable]
        return Verdict(detail, reason=reason)
    if result.key is None:
        return Verdict(
            f"Neither key of {account} is behind it: the key was rotated since, or the token was altered, forged or "
            "signed for another resource. That can't be told apart from here, so a person has to look.",
            reason=Reason.NO_KEY_MATCHES,
        )
    signer_sha256 = key_sha256(keys[result.key])
    if credential.kind is Kind.POLICY_SAS:
        return Verdict(
            f"Signed by {result.key} of {account} under the stored access policy '{credential.policy}', proven by "
            "arithmetic.",
            action=ActionKind.STORED_POLICY,
            key_name=result.key,
            key_sha256=signer_sha256,
        )
    what = "Is" if credential.kind is Kind.ACCOUNT_KEY else "Signed by"
    return Verdict(
        f"{what} {result.key} of {account}, proven by arithmetic.",
        action=ActionKind.ACCOUNT_KEY,
        key_name=result.key,
        key_sha256=signer_sha256,
    )


def named_policy(credential: Credential) -> PolicyTarget | None:
    """Return the stored access policy that a POLICY_SAS names, None where Azure has no resource of such a name."""
    if credential.service is None or credential.container is None or credential.policy is None:
        return None
    try:
        return PolicyTarget(credential.service, credential.container, credential.policy)
    except InvalidTarget:
        return None


def without_policy_name(verdict: Verdict) -> Verdict:
    """Return the verdict on a token whose policy can't be told from what leaked, proven though its key is."""
    detail = (
        f"{verdict.detail} But what leaked names no resource that can have such a policy, so the policy can't be "
        f"looked at. Report it again with the whole URL, or end the token by regenerating {verdict.key_name}."
    )
    return replace(verdict, action=None, reason=Reason.PATH_LOST, detail=detail)


def dormant(verdict: Verdict, reading: PolicyReading, *, until: datetime | None) -> Verdict | None:
    """Return the verdict on what a stored access policy keeps out for now; None where it lets it in, or may.

    `until` is the token's own end. `verdict` may be on an order, which no key is behind.
    """
    if reading.state not in _DORMANT:
        return None
    reason, state, advice = _DORMANT[reading.state]
    end = f"{reading.expires:%Y-%m-%d %H:%M} UTC" if reading.expires is not None else "at a time that is not known"
    for_how_long = f" until {until:%Y-%m-%d %H:%M} UTC" if until is not None else ""
    for_good = f", or regenerate {verdict.key_name} to end the token for good" if verdict.key_name else ""
    detail = f"{verdict.detail} {state.format(end=end)} would revive them{for_how_long}. {advice}{for_good}."
    return replace(verdict, action=None, reason=reason, detail=detail)
