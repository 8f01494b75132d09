"""Which key signed a leak, by signature verification; what is certain if none did (design decisions 1 and 10)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.account import PolicyReading, PolicyState
from shared.domain.states import Reason
from shared.domain.target import ActionKind, InvalidTarget, PolicyTarget
from shared.domain.text import Foreign
from shared.sas import Credential, Kind, Undecidable, key_sha256, verify

_UNDECIDABLE = {
    Undecidable.UNKNOWN_VERSION: (
        Reason.UNKNOWN_VERSION,
        "The token's signed version is newer than any that this version of Sasquash can recompute. Treat it as "
        "valid: find its key in the storage logs (AuthenticationHash) or rotate by hand.",
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

_LEAST_CERTAIN = (Reason.UNKNOWN_VERSION, Reason.PATH_LOST, Reason.LOOSE, Reason.NO_KEY_MATCHES)

_DORMANT = {
    PolicyState.GONE: (
        Reason.POLICY_GONE,
        "That policy does not exist, so Azure refuses its tokens. Re-creating it",
        "Do not re-create it",
    ),
    PolicyState.TOMBSTONE: (
        Reason.POLICY_EXPIRED,
        "Sasquash has left a tombstone for that policy, so Azure refuses its tokens. Changing it",
        "Leave the tombstone as it is",
    ),
    PolicyState.EXPIRED: (
        Reason.POLICY_EXPIRED,
        "That policy ended ({end}), so Azure refuses its tokens. Extending it",
        "Do not extend it",
    ),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Either the smallest `action` that revokes the leak, or a `reason` why there is none.

    `key_name` and `key_sha256` are set where signature verification proved that this key signed it. The signature of
    a user delegation SAS can't be verified: its verdict has an action and no key. So has that on a person's order.
    """

    detail: str
    action: ActionKind | None = None
    key_name: str | None = None
    key_sha256: str | None = None
    reason: Reason | None = None


def expired(credential: Credential, *, now: datetime) -> Verdict | None:
    """Return the verdict on a token whose own end has passed, no matter who signed it; None while it may be valid.

    No stored access policy can lengthen that: an end in both is refused. A user delegation SAS ends with its key.
    """
    end = credential.ends
    if end is None or end > now:
        return None
    return Verdict(
        f"The token expired at {end:%Y-%m-%d %H:%M} UTC; it grants nothing any more.",
        reason=Reason.EXPIRED,
    )


def all_expired(readings: Sequence[Credential], *, now: datetime) -> Verdict | None:
    """Return the verdict on a secret whose readings have all expired; None while one may be valid."""
    verdicts = [expired(one, now=now) for one in readings]
    return verdicts[0] if verdicts and all(verdicts) else None


def attribute(credential: Credential, *, account: str, keys: Mapping[str, str]) -> Verdict:
    """Return which of `keys` (name → base64 key, read from ARM under the account's lock) signed the leak."""
    if credential.kind is Kind.USER_DELEGATION_SAS:
        return Verdict(
            "A user delegation SAS: a key of Microsoft Entra ID signed it, which can't be read back, so its "
            "signature can't be verified. No account key signed it.",
            action=ActionKind.DELEGATION_KEY,
        )
    result = verify(credential, account=account, keys=keys)
    if result.undecidable is not None:
        reason, detail = _UNDECIDABLE[result.undecidable]
        return Verdict(detail, reason=reason)
    if result.key is None:
        return Verdict(
            f"Neither key of {account} signed it: the key was rotated since, or the token was altered, forged or "
            "signed for another resource. These cases look the same from here, so a person has to check.",
            reason=Reason.NO_KEY_MATCHES,
        )
    signer_sha256 = key_sha256(keys[result.key])
    if credential.kind is Kind.POLICY_SAS:
        return Verdict(
            f"Signed by {result.key} of {account} under the stored access policy "
            f"'{Foreign(credential.policy or '')}', by signature verification.",
            action=ActionKind.STORED_POLICY,
            key_name=result.key,
            key_sha256=signer_sha256,
        )
    what = "Is" if credential.kind is Kind.ACCOUNT_KEY else "Signed by"
    return Verdict(
        f"{what} {result.key} of {account}, by signature verification.",
        action=ActionKind.ACCOUNT_KEY,
        key_name=result.key,
        key_sha256=signer_sha256,
    )


def attribute_any(
    readings: Sequence[Credential], *, account: str, keys: Mapping[str, str]
) -> tuple[Credential, Verdict]:
    """Return which of the `readings` of one secret a key signed, and the verdict on it.

    Where none verifies, it is certain that no key signed the leak only if no reading is undecidable.
    """
    verdicts = []
    for reading in readings:
        verdict = attribute(reading, account=account, keys=keys)
        if verdict.reason is None:
            return reading, verdict
        verdicts.append(verdict)
    verdict = min(verdicts, key=lambda each: _LEAST_CERTAIN.index(each.reason))
    if len(verdicts) > 1:
        verdict = replace(verdict, detail=f"{verdict.detail} {len(verdicts)} reported paths were tried.")
    return readings[0], verdict


def named_policy(credential: Credential) -> PolicyTarget | None:
    """Return the stored access policy that a POLICY_SAS names, None where Azure has no resource of such a name."""
    if credential.service is None or credential.container is None or credential.policy is None:
        return None
    try:
        return PolicyTarget(credential.service, credential.container, credential.policy)
    except InvalidTarget:
        return None


def without_policy_name(verdict: Verdict) -> Verdict:
    """Return the verdict on a token whose key is proven, while its policy can't be identified from the leak."""
    detail = (
        f"{verdict.detail} But what leaked names no resource that can have such a policy, so the policy can't be "
        f"read. Report it again with the whole URL, or revoke the token by regenerating {verdict.key_name}."
    )
    return replace(verdict, action=None, reason=Reason.PATH_LOST, detail=detail)


def dormant(verdict: Verdict, reading: PolicyReading, *, until: datetime | None) -> Verdict | None:
    """Return the verdict on a token that its stored access policy refuses for now; None if it accepts it, or may.

    `until` is the token's own end. `verdict` may be on an order, which no key signed.
    """
    if reading.state not in _DORMANT:
        return None
    reason, state, advice = _DORMANT[reading.state]
    end = f"{reading.expires:%Y-%m-%d %H:%M} UTC" if reading.expires is not None else "at an unknown time"
    for_how_long = f" until {until:%Y-%m-%d %H:%M} UTC" if until is not None else ""
    for_good = f", or regenerate {verdict.key_name} to revoke the token for good" if verdict.key_name else ""
    detail = f"{verdict.detail} {state.format(end=end)} would re-enable them{for_how_long}. {advice}{for_good}."
    return replace(verdict, action=None, reason=reason, detail=detail)
