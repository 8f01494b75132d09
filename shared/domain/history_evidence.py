"""The evidence for a change of a record, for the line in its history. Pure."""

from shared.domain.execution import OTHERS
from shared.domain.pending_steps import awaits_verification
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State

_SHOWN = 12  # hex digits of a SHA-256
_CONFIRMED_BY = {
    "answer": "Azure's response",
    "listing": "the current state (response lost)",
    OTHERS: "the current state (somebody else changed it)",
}


def of(revocation: Revocation) -> str:
    """Return the evidence for the record's latest state in English, or an empty text."""
    match revocation.state:
        case State.RECEIVED:
            return _approval(revocation)
        case State.CONTAINED if revocation.reason is Reason.IN_EFFECT:
            return _verification(revocation)
        case State.CONTAINED:
            return " ".join(
                part for part in (_signature(revocation), _approval(revocation), _execution(revocation)) if part
            )
        case State.PROVEN:
            return _verification(revocation)
        case State.FAILED if revocation.verification is not None:
            return _verification(revocation)
        case State.CLOSED:
            return ""
        case _:
            return " ".join(part for part in (_signature(revocation), _answer(revocation)) if part)


def correlation_id(revocation: Revocation) -> str | None:
    """Return the id of the change in Azure's own log, None if nothing was changed."""
    executed = awaits_verification(revocation) and revocation.execution is not None
    return revocation.execution.correlation_id if executed and revocation.execution is not None else None


def _signature(revocation: Revocation) -> str:
    if revocation.key_name is None:
        return ""
    hashed = f" (SHA-256 {revocation.key_sha256[:_SHOWN]}…)" if revocation.key_sha256 else ""
    return f"Signature verified: signed by {revocation.key_name}{hashed}."


def _answer(revocation: Revocation) -> str:
    return revocation.liveness.said if revocation.liveness is not None else ""


def _approval(revocation: Revocation) -> str:
    if revocation.approval is None:
        return ""
    people = " and ".join(approval.who for approval in revocation.approvals)
    return f"Approved by {people}: plan {revocation.approval.digest[:_SHOWN]}…."


def _execution(revocation: Revocation) -> str:
    execution = revocation.execution
    if execution is None:
        return ""
    how = _CONFIRMED_BY[execution.confirmed_by]
    was = f", from SHA-256 {execution.old_sha256[:_SHOWN]}…" if execution.old_sha256 else ""
    became = f" to {execution.new_sha256[:_SHOWN]}…" if execution.new_sha256 else ""
    return f"Confirmed by {how}{was}{became}."


def _verification(revocation: Revocation) -> str:
    return " ".join(revocation.verification.evidence) if revocation.verification is not None else ""
