"""A leak that was verified once, and whose key or policy is not what it was: somebody revoked it. Pure.

"Rotated since" and "forged" look the same to who sees the leak for the first time. Where its signature has been
verified before, only the first is possible: a key can't be set, so one that is gone does not come back.
"""

from dataclasses import replace
from datetime import timedelta

from shared.domain.account import PolicyReading, PolicyState, Removal
from shared.domain.decision.attribution import Verdict
from shared.domain.decision.snapshot import Snapshot
from shared.domain.execution import OTHERS, Execution
from shared.domain.signer import Signer
from shared.domain.states import Reason
from shared.domain.target import ActionKind

_CLOCK_SKEW = timedelta(minutes=1)
_ENDED = (PolicyState.GONE, PolicyState.EXPIRED)
_OF_A_POLICY = (Reason.POLICY_GONE, Reason.POLICY_EXPIRED)


def by_key(signer: Signer | None, verdict: Verdict, snapshot: Snapshot) -> tuple[Verdict, Execution | None]:
    """Return the verdict on a leak that no key signs now, and how it was revoked, if a key had signed it before.

    It is `covered` where Sasquash itself has regenerated that key since, for another leak.
    """
    if signer is None or verdict.reason is not Reason.NO_KEY_MATCHES:
        return verdict, None
    name, account = signer.key_name, snapshot.account.name
    proven = Verdict(
        f"{name} of {account}, which had signed it by signature verification at {signer.at:%Y-%m-%d %H:%M} UTC, was "
        "regenerated since.",
        key_name=name,
        key_sha256=signer.key_sha256,
    )
    last = snapshot.last(ActionKind.ACCOUNT_KEY, target=name)
    if last is not None and last.at > signer.at - _CLOCK_SKEW:
        detail = f"{proven.detail} Sasquash did it at {last.at:%Y-%m-%d %H:%M} UTC, for another leak."
        return replace(proven, detail=detail, reason=Reason.COVERED), None
    key = snapshot.keys[name]
    made = snapshot.account.keys_created.get(name) or key.created or snapshot.at
    return proven, Execution(
        ActionKind.ACCOUNT_KEY, name, made, signer.key_sha256, key.sha256, OTHERS, None, notes=(_verified(signer),)
    )


def by_policy(
    signer: Signer | None, verdict: Verdict, reading: PolicyReading | None, snapshot: Snapshot
) -> Execution | None:
    """Return how the policy of a leak was ended that was in force when the leak was verified; None if it was not.

    A tombstone of ours is no such end, nor is a policy that is gone where we delete policies: it may have been for
    another leak.
    """
    if reading is not None and reading.state is PolicyState.GONE and snapshot.account.removal is Removal.DELETE:
        return None
    if signer is None or reading is None or verdict.reason not in _OF_A_POLICY or reading.state not in _ENDED:
        return None
    if signer.policy != str(reading.target) or signer.key_sha256 != verdict.key_sha256:
        return None
    return Execution(
        ActionKind.STORED_POLICY,
        signer.policy,
        snapshot.at,
        signer.version,
        reading.version,
        OTHERS,
        None,
        notes=(_verified(signer),),
    )


def _verified(signer: Signer) -> str:
    under = " and its policy was in force" if signer.policy else ""
    return (
        f"At {signer.at:%Y-%m-%d %H:%M} UTC {signer.key_name} had signed the leak, by signature verification{under}."
    )
