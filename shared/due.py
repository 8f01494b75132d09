"""What is due about a decided record: what to announce, file and tell, and what a proof makes of it. Pure.

Everything is due once for each state and reason: a leak that is reported again and ends as before is old news.
"""

from dataclasses import replace

from shared.revocation import Change, Outcome, Proof, Reason, Revocation, State

_WITHOUT_INCIDENT = frozenset({State.RECEIVED, State.DISMISSED})
_TOLD_BY_MAIL = frozenset(
    {State.OBSERVED, State.AWAITING_APPROVAL, State.CONTAINED, State.PROVEN, State.UNRESOLVED, State.FAILED}
)


def unannounced(revocation: Revocation) -> list[Change]:
    """Return the changes that are still to be announced, oldest first."""
    known = {(change.state, change.reason) for change in revocation.announced}
    return [
        change
        for change in revocation.changes
        if change.state is not State.RECEIVED and (change.state, change.reason) not in known
    ]


def unfiled(revocation: Revocation) -> bool:
    """Whether an incident is to be filed, or shows something else than the record."""
    filed = revocation.filed
    if filed is None:
        return revocation.state not in _WITHOUT_INCIDENT
    return (filed.state, filed.reason) != (revocation.state, revocation.reason)


def untold(revocation: Revocation) -> bool:
    """Whether people are to be mailed what the record has come to."""
    now = (revocation.state, revocation.reason)
    return revocation.state in _TOLD_BY_MAIL and now not in {(told.state, told.reason) for told in revocation.told}


def unclaimed(revocation: Revocation, step: str) -> Revocation:
    """Return the record without any claim on `step`."""
    return replace(revocation, claims=tuple(claim for claim in revocation.claims if claim.step != step))


def with_proof(revocation: Revocation, proof: Proof) -> Revocation | None:
    """Return the record with its proof; the proof tokens have served and go. None when it is not waiting for one."""
    if revocation.state is not State.CONTAINED or revocation.pull is None:
        return None
    before = revocation.proof
    if proof.outcome is Outcome.ARM_ONLY and before is not None and before.accepted:
        # The proof tokens expired before anyone could ask again: what was seen last is what counts.
        evidence = (*proof.evidence, *before.evidence[1:], "No proof token is left to ask again with.")
        proof = replace(proof, outcome=Outcome.STILL_ALIVE, evidence=evidence, accepted=True)
    proven = replace(revocation, proof=proof, pull=replace(revocation.pull, proof_tokens=()))
    if proof.outcome is Outcome.STILL_ALIVE:
        detail = f"The lever was pulled, and yet the credential may still be in force. {' '.join(proof.evidence)}"
        return proven.end(Reason.STILL_ALIVE, now=proof.at, detail=detail)
    by = "by ARM only" if proof.outcome is Outcome.ARM_ONLY else "by tokens of our own"
    return proven.reach(State.PROVEN, now=proof.at, detail=f"Proven dead {by}.")
