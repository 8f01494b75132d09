"""What is known of a user delegation SAS, whose key can't be read back: which key it was, and whether it is genuine.

Pure. Source: Microsoft REST documentation, "Create a user delegation SAS", the fields `skoid` to `skv`.
"""

import hashlib
from datetime import datetime, timedelta

from shared.domain.revocation import Liveness
from shared.sas import Credential
from shared.sas.classify import moment

_LONGEST_LIFE = timedelta(days=7)  # of a user delegation key
_IDENTITY = ("skoid", "sktid", "skt", "ske")


def version(credential: Credential | None, *, last_execution: datetime | None) -> str:
    """Return what a plan to revoke delegation keys binds to, as SHA-256 (hex).

    Which key signed the leak, and the latest revocation of ours: once the keys were revoked for another leak, an
    older approval does not cover what has been signed since. `credential` is None for an order.
    """
    identity = [credential.parameter(name) or "" for name in _IDENTITY] if credential is not None else []
    latest = last_execution.isoformat() if last_execution is not None else ""
    return hashlib.sha256("|".join((*identity, latest)).encode()).hexdigest()


def doubt(
    credential: Credential, *, liveness: Liveness | None, last_execution: datetime | None, tenant_id: str
) -> str | None:
    """Return why a token that has not expired requires approval, None if nothing speaks against acting alone.

    `last_execution` is when we last revoked the account's user delegation keys, `tenant_id` is ours.
    """
    if credential.parameter("sduoid") is not None:
        return "the token works only together with the sign-in of one user, which did not leak with it"
    if liveness is None:
        return "the token's signature can't be verified, and Azure was not asked"
    if liveness.alive is not True:
        return f"it is not certain that the token is genuine: {liveness.said.rstrip('.')}"
    if (credential.parameter("sktid") or "").lower() != tenant_id:
        return "the token's key was issued in another tenant than ours"
    start, end = moment(credential.parameter("skt")), moment(credential.parameter("ske"))
    if start is None or end is None:
        return "the start or the end of the token's key can't be read"
    if end - start > _LONGEST_LIFE:
        return "the token's key claims to be valid for longer than the seven days that Azure allows"
    if last_execution is not None and start <= last_execution:
        return (
            f"Sasquash revoked the account's user delegation keys at {last_execution:%Y-%m-%d %H:%M:%S} UTC, "
            "after the token's key began: the token may be revoked already, or the key's start backdated"
        )
    return None
