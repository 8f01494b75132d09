"""Tells a record to a person: from a `Revocation` to the `Briefing` that mail and incident are made of. Pure."""

from datetime import datetime

from shared.report.briefing import Briefing, TimelineEntry
from shared.revocation import Outcome, Reason, Revocation, State
from shared.sas import Kind, assess

_KINDS = {
    Kind.ACCOUNT_SAS: "account SAS",
    Kind.SERVICE_SAS: "service SAS",
    Kind.POLICY_SAS: "service SAS with a stored access policy",
    Kind.USER_DELEGATION_SAS: "user delegation SAS",
    Kind.ACCOUNT_KEY: "account key",
}

_PROOF = {
    Outcome.PENDING: "Not proven yet.",
    Outcome.PROVEN: "Proven dead.",
    Outcome.ARM_ONLY: "Proven by ARM only: the data plane could not be asked from here.",
    Outcome.STILL_ALIVE: "STILL ALIVE: tokens of the old key are accepted although it was regenerated.",
}


def brief(revocation: Revocation, *, now: datetime) -> Briefing:
    """Return everything worth telling of `revocation`."""
    finding = revocation.finding
    credential = finding.credential
    risk = assess(credential, now=now) if credential is not None else None
    account = revocation.account
    return Briefing(
        fingerprint=revocation.fingerprint,
        c3id=credential.c3id if credential is not None else revocation.fingerprint[:20],
        state=revocation.state,
        reason=revocation.reason,
        kind=_KINDS[credential.kind] if credential is not None else "report that could not be read",
        severity=risk.severity if risk is not None else "high",
        grants=risk.grants if risk is not None else "Unknown: the report could not be read.",
        notes=risk.notes if risk is not None else (),
        risk_reasons=risk.reasons if risk is not None else (),
        account=account.name if account is not None else (credential.account if credential is not None else None),
        account_id=account.id if account is not None else None,
        host=credential.host if credential is not None else None,
        key_name=revocation.key_name,
        policy=credential.policy if credential is not None else None,
        expires=credential.expires if credential is not None else None,
        source=finding.source,
        found_at_url=finding.url,
        detected_at=finding.detected_at,
        received_at=revocation.received_at,
        done=_done(revocation),
        proven=_proven(revocation),
        breaks=revocation.plan.breaks if revocation.plan is not None else (),
        open_points=tuple(_open_points(revocation)),
        next_steps=tuple(_next_steps(revocation)),
        deadline=revocation.deadline if revocation.state is State.AWAITING_APPROVAL else None,
        timeline=tuple(_timeline(revocation)),
        owners=revocation.owners or (),
    )


def _done(revocation: Revocation) -> str:
    if revocation.reason is Reason.COVERED:
        return revocation.detail
    if revocation.pull is None:
        return f"Nothing was changed. {revocation.detail}"
    pull = revocation.pull
    name = revocation.account.name if revocation.account is not None else "the account"
    how = f" (ARM correlation id {pull.correlation_id})" if pull.correlation_id else ""
    lost = (
        " ARM's answer was lost; its list of keys shows that it happened." if pull.confirmed_by == "listing" else ""
    )
    why = f" It was done without asking: {revocation.decided_by}." if revocation.decided_by else ""
    return f"{pull.target} of {name} was regenerated{how}; the other key was not touched.{lost}{why}"


def _proven(revocation: Revocation) -> str:
    # A worker died before it could note what it had proven: the key that it pulled is known, the signer is not.
    unsigned = revocation.pull is not None and not revocation.pull.old_sha256
    is_known = revocation.key_name is not None and not unsigned
    signer = f"By arithmetic: {revocation.key_name} is behind it. " if is_known else ""
    if revocation.reason is Reason.COVERED:
        return f"{signer}The proof stands with the leak that the key was regenerated for."
    proof = revocation.proof
    if proof is None:
        return f"{signer}{'Not proven dead yet.' if revocation.pull is not None else 'It was not revoked.'}"
    return f"{signer}{_PROOF[proof.outcome]} {' '.join(proof.evidence)}"


def _open_points(revocation: Revocation) -> list[str]:
    points = [f"Not told: {rejected}." for rejected in revocation.owners_rejected]
    proof = revocation.proof
    if proof is not None and proof.outcome is Outcome.ARM_ONLY:
        points.append("Check from a network that reaches the account that a token of the old key is refused.")
    points.extend(
        f"It was also reported by {sighting.source}{f', at {sighting.url}' if sighting.url else ''}."
        for sighting in revocation.sightings
    )
    return points


def _next_steps(revocation: Revocation) -> list[str]:
    match revocation.state, revocation.reason:
        case ((State.CONTAINED | State.PROVEN | State.CLOSED), _):
            return [
                "Give the key's new value to the clients that used the old one, or better: move them to Entra ID or "
                "to a user delegation SAS, read-only, for the paths they need, and short.",
                "Look in the storage logs for what was done with the credential between its exposure and its end.",
                "Take the credential out of the place where it was found, its history included.",
            ]
        case State.AWAITING_APPROVAL, _:
            return ["Decide. Until somebody does, the credential works."]
        case State.OBSERVED, _:
            return ["Revoke it by hand, or let Sasquash act: set SASQUASH_MODE to approve or auto."]
        case State.FAILED, Reason.STILL_ALIVE:
            return [
                "Forbid shared key access for now: `az storage account update --allow-shared-key-access false`, then "
                "open a support request: a regenerated key must be refused within ten minutes."
            ]
        case ((State.FAILED | State.UNRESOLVED), _):
            return [revocation.detail]
    return []


def _timeline(revocation: Revocation) -> list[TimelineEntry]:
    entries = [TimelineEntry(revocation.finding.detected_at, f"found by {revocation.finding.source}")]
    entries.append(TimelineEntry(revocation.received_at, "reported to Sasquash"))
    if revocation.attributed_at is not None:
        entries.append(TimelineEntry(revocation.attributed_at, f"attributed to {revocation.key_name}"))
    if revocation.pull is not None:
        entries.append(TimelineEntry(revocation.pull.at, f"{revocation.pull.target} regenerated"))
    skipped = {State.RECEIVED, State.CONTAINED} if revocation.pull is not None else {State.RECEIVED}
    entries.extend(
        TimelineEntry(change.at, f"state: {change.state.replace('_', ' ')}")
        for change in revocation.changes
        if change.state not in skipped
    )
    return entries
