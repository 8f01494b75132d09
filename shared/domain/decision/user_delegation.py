"""What is known of a user delegation SAS, whose key can't be read back: which key it was, and whether it is genuine.

Pure. Source: Microsoft REST documentation, "Create a user delegation SAS", the fields `skoid` to `skv`.
"""

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.decision.duplicates import ended_unverified, reopened
from shared.domain.execution import Liveness
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.sas import Credential, Kind
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


def may_be_asked(current: Revocation) -> bool:
    """Whether Azure's answer to the leaked token may change what is known of it."""
    credential = current.finding.credential
    if credential is None or credential.kind is not Kind.USER_DELEGATION_SAS or current.accepted:
        return False
    if current.execution is not None:
        return False
    return current.state in (State.RECEIVED, State.AWAITING_APPROVAL) or ended_unverified(current)


def with_answer(
    current: Revocation, credential: Credential, liveness: Liveness, *, now: datetime
) -> Revocation | None:
    """Return the record with Azure's answer to the token at the path of `credential`; None where it says no more.

    A refusal is of that path alone. A token that Azure accepts is evaluated again, if it still waits for a person.
    """
    if not may_be_asked(current):
        return None
    before = current.liveness
    if liveness.alive is False and before is not None and before.alive is None and before.path != liveness.path:
        return None
    answered = replace(current, liveness=liveness)
    if liveness.alive is not True:
        return answered
    proven = answered.with_verified(credential)
    if proven.state is State.RECEIVED:
        return proven
    return reopened(proven, now=now, detail="Reported again with the token, which Azure accepts.")


def doubt(
    credential: Credential, *, liveness: Liveness | None, last_execution: datetime | None, tenant_id: str
) -> str | None:
    """Return why a token that has not expired requires approval, None if nothing speaks against acting alone.

    `last_execution` is when we last revoked the account's user delegation keys, `tenant_id` is ours.
    """
    if credential.parameter("sduoid") is not None:
        return "the token works only together with the sign-in of one user, which did not leak with it"
    if liveness is None:
        return (
            "the token's signature can't be verified, and Azure was not asked, because no report brought the token "
            "itself: to have Azure asked, report the whole URL in the console or over the API"
        )
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
