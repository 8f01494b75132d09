"""Which key is behind a leak, by arithmetic alone; and what is certain when none is (design decisions 1 and 10)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.revocation import Reason
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
    Undecidable.DELEGATION: (
        Reason.NO_LEVER,
        "This is a user delegation SAS: no account key signed it, and rotating one would not stop it. Revoke the "
        "account's user delegation keys: az storage account revoke-delegation-keys --ids <account id>.",
    ),
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Either `key_name` and `key_sha256` (proven: this key is behind the leak), or a `reason` why there is none.

    A verdict may hold both: the key is known, and yet the lever is another one (a stored access policy).
    """

    detail: str
    key_name: str | None = None
    key_sha256: str | None = None
    reason: Reason | None = None


def expired(credential: Credential, *, now: datetime) -> Verdict | None:
    """Return the verdict on a token whose own end has passed, whoever signed it; None while it may live.

    A token under a stored access policy has no end of its own that we could trust: the policy may set another.
    """
    if credential.kind is Kind.POLICY_SAS or credential.expires is None or credential.expires > now:
        return None
    return Verdict(
        f"The token expired at {credential.expires:%Y-%m-%d %H:%M} UTC; it opens nothing any more.",
        reason=Reason.EXPIRED,
    )


def attribute(credential: Credential, *, account: str, keys: Mapping[str, str]) -> Verdict:
    """Return which of `keys` (name → base64 key, read from ARM under the account's lock) is behind the leak."""
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
            f"Signed by {result.key} of {account} under the stored access policy '{credential.policy}'. The smallest "
            "lever is that policy: delete it, or set its expiry into the past. It must never be re-created under "
            "the same id.",
            key_name=result.key,
            key_sha256=signer_sha256,
            reason=Reason.NO_LEVER,
        )
    what = "Is" if credential.kind is Kind.ACCOUNT_KEY else "Signed by"
    return Verdict(
        f"{what} {result.key} of {account}, proven by arithmetic.", key_name=result.key, key_sha256=signer_sha256
    )
