"""Builds the `Briefing` of a `Revocation`, from which mail and incident are rendered. Pure."""

from datetime import datetime

from shared.actions.registry import ACTION_SPECS
from shared.domain.approval import AtDeadline
from shared.domain.decision.effective_permissions import of_record
from shared.domain.decision.people import APPROVER, quorum_of, rejecters
from shared.domain.execution import KeyDistributionOutcome, Outcome
from shared.domain.finding import Finding
from shared.domain.named_alerts import MOST_LEFT_OUT
from shared.domain.pending_steps import open_alerts
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from shared.domain.text import Code, Foreign, Line, RichText, defang
from shared.followup.briefing.model import Briefing, TimelineEntry
from shared.followup.briefing.recommendations import hardening, instead
from shared.followup.briefing.usage import also_affected, used
from shared.sas import Kind, assess

_KINDS = {
    Kind.ACCOUNT_SAS: "account SAS",
    Kind.SERVICE_SAS: "service SAS",
    Kind.POLICY_SAS: "service SAS with a stored access policy",
    Kind.USER_DELEGATION_SAS: "user delegation SAS",
    Kind.ACCOUNT_KEY: "account key",
}

_CHECK_LOGS = "Check the storage logs for use of the credential between its exposure and its revocation."
_REMOVE_IT = "Remove the credential from the place where it was found, including its history."

_VERIFICATION = {
    Outcome.PENDING: "Not verified yet.",
    Outcome.PROVEN: "Verified revoked.",
    Outcome.ARM_ONLY: "Verified by ARM only: the data plane could not be checked.",
    Outcome.STILL_ALIVE: "STILL ACCEPTED: Azure accepts a test token of the same kind.",
    Outcome.IN_EFFECT: "Blocked, not revoked.",
    Outcome.NOT_ENFORCED: "NOT BLOCKED: Azure does not enforce the change.",
}


_MOST_LISTED = 20  # alerts
_AT_DEADLINE = {
    AtDeadline.ESCALATE: "the plan is escalated and nothing is revoked.",
    AtDeadline.REVOKE: "it is revoked without approval.",
}


def brief(revocation: Revocation, *, now: datetime) -> Briefing:
    """Return everything that people need to know about `revocation`."""
    finding = revocation.finding
    credential = finding.credential
    granted = of_record(revocation)
    risk = assess(granted, now=now) if granted is not None else None
    account = revocation.account
    return Briefing(
        fingerprint=revocation.fingerprint,
        c3id=credential.c3id if credential is not None else revocation.fingerprint[:20],
        state=revocation.state,
        reason=revocation.reason,
        kind=_kind(finding),
        severity=risk.severity if risk is not None else "high",
        grants=risk.grants if risk is not None else _unknown_grants(finding),
        notes=risk.notes if risk is not None else _seen(finding),
        risk_reasons=risk.reasons if risk is not None else (),
        account=revocation.account_name,
        account_id=account.id if account is not None else None,
        host=credential.host if credential is not None else None,
        key_name=revocation.key_name,
        policy=credential.policy if credential is not None else None,
        action=revocation.plan.action if revocation.plan is not None else None,
        target=revocation.plan.target if revocation.plan is not None else None,
        ordered=finding.order is not None and finding.evidence is None,
        expires=granted.expires if granted is not None else _expiry_by_alert(finding),
        source=finding.source,
        reported_by=finding.reported_by.name if finding.reported_by is not None else None,
        reported_because=finding.reason,
        found_at_url=finding.url,
        detected_at=finding.detected_at,
        received_at=revocation.received_at,
        done=_done(revocation),
        proven=_proven(revocation),
        used=used(revocation.usage, revocation),
        impact=(
            *(revocation.plan.impact if revocation.plan is not None else ()),
            *also_affected(revocation.usage, revocation),
        ),
        open_points=tuple(_open_points(revocation)),
        next_steps=tuple(_next_steps(revocation, now=now)),
        deadline=revocation.deadline if revocation.state is State.AWAITING_APPROVAL else None,
        timeline=tuple(_timeline(revocation)),
        owners=revocation.owners or (),
        waits_for=_waits_for(revocation) if revocation.state is State.AWAITING_APPROVAL else "",
        reported_again_at=revocation.reported_again_at if revocation.reason is Reason.REJECTED else None,
    )


def _kind(finding: Finding) -> str:
    if finding.evidence is not None:
        return "account SAS (seen in use; the token is unknown)"
    if finding.order is not None:
        return "order by a responder"
    if finding.other is not None:
        return f"credential of {finding.other.service_name}"
    return _KINDS[finding.credential.kind] if finding.credential is not None else "unreadable report"


def _expiry_by_alert(finding: Finding) -> datetime | None:
    return finding.evidence.expires if finding.evidence is not None else None


def _unknown_grants(finding: Finding) -> str:
    evidence = finding.evidence
    if evidence is not None:
        parts = (
            ("permissions", evidence.permissions),
            ("services", evidence.services),
            ("resource types", evidence.resource_types),
        )
        named = "; ".join(f"{label}: {Foreign(', '.join(words))}" for label, words in parts if words)
        return f"According to the alert, {named}." if named else "Unknown: the alert does not say."
    if finding.order is not None:
        return "Unknown: a responder ordered this without a leaked credential."
    if finding.other is not None:
        return f"Access to {finding.other.service_name}. Sasquash does not know to what in it."
    return "Unknown: the report could not be read."


def _seen(finding: Finding) -> tuple[str, ...]:
    """Return the alert's facts about the token, as notes."""
    evidence = finding.evidence
    if evidence is None:
        return ()
    return (
        f"Alert: {Foreign(evidence.title)}.",
        f"Last used at {evidence.seen_at:%Y-%m-%d %H:%M} UTC, signed with {evidence.key}.",
        *((f"Allowed from: {Foreign(evidence.addresses)}.",) if evidence.addresses else ()),
        *((f"SHA-256 of its signature: {evidence.signature_sha256}.",) if evidence.signature_sha256 else ()),
    )


def _done(revocation: Revocation) -> str:
    if revocation.reason is Reason.COVERED:
        return revocation.detail
    if revocation.execution is None:
        return f"{'' if revocation.reason is Reason.POLICY_GONE else 'Nothing was changed. '}{revocation.detail}"
    execution = revocation.execution
    name = revocation.account.name if revocation.account is not None else "the account"
    spec = ACTION_SPECS[execution.action]
    how = f" ({spec.request_id_name} id {execution.correlation_id})" if execution.correlation_id else ""
    seen = "Confirmed by reading the current state: Azure's response was lost, or no change was needed."
    return " ".join(
        (
            f"{spec.happened(execution, name).removesuffix('.')}{how}{spec.untouched if execution.is_ours else ''}.",
            *((seen,) if execution.confirmed_by == "listing" else ()),
            *execution.notes,
            *(_decision(revocation) if execution.is_ours else ()),
            *_key_distribution(revocation),
        )
    )


def _decision(revocation: Revocation) -> tuple[str, ...]:
    approval = next(reversed(revocation.approvals), None)
    if approval is not None:
        if approval.by is None:
            return ("Revoked at its deadline without a decision (SASQUASH_AT_DEADLINE).",)
        people = " and ".join(str(Foreign(one.name)) for one in revocation.approvals)
        return (f"{people} approved it: {Foreign(approval.reason or 'no reason given', limit=500)}.",)
    return (f"No approval was required: {revocation.decided_by}.",) if revocation.decided_by else ()


def _key_distribution(revocation: Revocation) -> tuple[str, ...]:
    distribution = revocation.key_distribution
    return (
        (distribution.said,)
        if distribution is not None and distribution.outcome is KeyDistributionOutcome.DONE
        else ()
    )


def _proven(revocation: Revocation) -> str:
    # An instance crashed before it recorded the signature check: the regenerated key is known, the signer is not.
    execution = revocation.execution
    unsigned = execution is not None and execution.action is ActionKind.ACCOUNT_KEY and not execution.old_sha256
    is_known = revocation.key_name is not None and not unsigned
    signer = f"Signature verified: signed by {revocation.key_name}. " if is_known else ""
    if revocation.reason is Reason.COVERED:
        return f"{signer}Verified with the finding that it was revoked for."
    verification = revocation.verification
    if verification is None:
        return f"{signer}{'Not verified yet.' if revocation.execution is not None else 'Not revoked.'}"
    is_revoked = execution is not None and execution.revokes
    return " ".join(
        (*((f"{signer}{_VERIFICATION[verification.outcome]}",) if is_revoked else ()), *verification.evidence)
    )


def _open_points(revocation: Revocation) -> list[Line]:
    points: list[Line] = [f"Not notified: {rejected}." for rejected in revocation.owners_rejected]
    distribution, liveness = revocation.key_distribution, revocation.liveness
    if distribution is not None and distribution.outcome is KeyDistributionOutcome.DECLINED:
        points.append(f"The new key was not written to Key Vault: {distribution.said}")
    if liveness is not None and liveness.alive is not True:
        points.append(liveness.said)
    locked = revocation.lockdown
    if locked is not None and locked.after and locked.undone_at is None:
        points.append(ACTION_SPECS[locked.action].standing_text)
    verification = revocation.verification
    if verification is not None and verification.outcome is Outcome.ARM_ONLY:
        points.append("Check from a network with access to the account that such a token is rejected.")
    if revocation.changed_by is not None:
        points.append(revocation.changed_by.said)
    points.extend(revocation.remains or ())
    waiting = open_alerts(revocation)
    points.extend(f"Alert not closed yet: {alert}." for alert in waiting[:_MOST_LISTED])
    if len(waiting) > _MOST_LISTED:
        points.append(f"{len(waiting) - _MOST_LISTED} more alerts are not closed yet.")
    points.extend(settled.said for settled in revocation.closed_alerts if not settled.closed)
    if left_out := len(revocation.named_alerts.left_out):
        number = f"{'At least ' if left_out == MOST_LEFT_OUT else ''}{left_out}"
        points.append(f"{number} more alerts were reported than Sasquash checks at a time. They were left open.")
    points.extend(
        f"Also reported by {Foreign(sighting.source)}{f', at {defang(sighting.url)}' if sighting.url else ''}."
        for sighting in revocation.sightings
    )
    return points


def _next_steps(revocation: Revocation, *, now: datetime) -> list[Line]:
    execution = revocation.execution
    spec = ACTION_SPECS[execution.action] if execution is not None else None
    match revocation.state, revocation.reason:
        case ((State.CONTAINED | State.PROVEN | State.CLOSED), _):
            unknown = revocation.usage is None or revocation.usage.unknown
            return [
                *(spec.recovery(revocation, execution) if spec is not None and execution is not None else ()),
                *instead(revocation),
                *((_CHECK_LOGS,) if unknown else ()),
                *_at_its_place(revocation.finding),
                *hardening(revocation),
            ]
        case State.AWAITING_APPROVAL, _:
            return _how_to_decide(revocation, now=now)
        case State.DISMISSED, Reason.REJECTED if revocation.reported_again_at is not None:
            retry = Code(f"POST /api/revocations/{revocation.fingerprint}/retry")
            return [
                "Check whether the rejection is still right. The leak is known at further places now.",
                RichText.of("Another approver can undo the rejection: ", retry, "."),
            ]
        case State.OBSERVED, _:
            return ["Revoke it manually, or let Sasquash act: set SASQUASH_MODE to approve or auto."]
        case State.FAILED, Reason.STILL_ALIVE if spec is not None and execution is not None:
            return [spec.if_still_accepted(revocation, execution)]
        case State.FAILED, Reason.BLOCKED:
            return [revocation.detail, *_next_attempt(revocation)]
        case ((State.FAILED | State.UNRESOLVED), _):
            return [revocation.detail]
    return []


def _next_attempt(revocation: Revocation) -> list[Line]:
    """Return when an action that was refused is tried again, and how to try it at once."""
    due, retry = revocation.next_attempt, Code(f"POST /api/revocations/{revocation.fingerprint}/retry")
    if due is None:
        return [RichText.of("Sasquash does not try again by itself. Once the cause is removed: ", retry, ".")]
    when = f"Sasquash tries again at {due:%Y-%m-%d %H:%M} UTC, and daily later. To try at once: "
    return [
        RichText.of(when, retry, "."),
        "If you revoke it by hand, leave the record open: Sasquash verifies that and closes it.",
    ]


def _at_its_place(finding: Finding) -> tuple[str, ...]:
    if finding.evidence is not None:
        return ("Find out where the token leaked: the alert only shows that it was used.",)
    return () if finding.order is not None else (_REMOVE_IT,)


def _waits_for(revocation: Revocation) -> str:
    """Return who has to decide yet, where it takes two approvers."""
    if revocation.first_approval is not None:
        who = Foreign(revocation.first_approval.name)
        return f"1 of 2 approvals is there, by {who}. Another person with the role {APPROVER} has to approve."
    if revocation.rejections:
        who = Foreign(revocation.rejections[-1].by.name)
        return f"1 of 2 rejections is there, by {who}. Another person with the role {APPROVER} has to decide."
    return "It takes two approvers." if quorum_of(revocation).approvers > 1 else ""


def _who_decides(revocation: Revocation, *, now: datetime) -> list[Line]:
    """Return who has to approve or reject, and what is known of the evidence."""
    quorum, lines = quorum_of(revocation), list[Line]()
    if quorum.approvers > 1:
        lines.append("No person gave this order and no leaked credential is proven, so it takes two approvers.")
    elif quorum.is_order:
        lines.append("An order takes two people: an approver other than the person who gave it has to approve.")
    if revocation.first_approval is not None or revocation.rejections:
        lines.append(_waits_for(revocation))
    if rejecters(revocation, now=now) > 1:
        lines.append("To reject it takes two approvers: the leaked credential works, and its severity is high.")
    if revocation.evidence_check is not None:
        lines.append(revocation.evidence_check.said)
    return lines


def _how_to_decide(revocation: Revocation, *, now: datetime) -> list[Line]:
    plan, path = revocation.plan, f"POST /api/revocations/{revocation.fingerprint}"
    why = f" {plan.reason}" if plan is not None else ""
    steps: list[Line] = [f"Approve or reject the plan. Until then, the credential works.{why}"]
    steps.extend(_who_decides(revocation, now=now))
    if plan is not None:
        approve, digest = Code(f"{path}/approve"), Code(plan.digest)
        steps.append(RichText.of("To approve: ", approve, " with the plan digest ", digest, "."))
    steps.append(RichText.of("To reject: ", Code(f"{path}/reject"), "."))
    if revocation.deadline is not None:
        steps.append(
            f"Without a decision by {revocation.deadline:%Y-%m-%d %H:%M} UTC, {_AT_DEADLINE[revocation.at_deadline]}"
        )
    return steps


def _timeline(revocation: Revocation) -> list[TimelineEntry]:
    entries = [TimelineEntry(revocation.finding.detected_at, f"found by {Foreign(revocation.finding.source)}")]
    entries.append(TimelineEntry(revocation.received_at, "reported to Sasquash"))
    if revocation.attributed_at is not None:
        entries.append(TimelineEntry(revocation.attributed_at, f"attributed to {revocation.key_name}"))
    if revocation.liveness is not None:
        entries.append(TimelineEntry(revocation.liveness.at, revocation.liveness.said))
    entries.extend(TimelineEntry(one.at, f"approved by {Foreign(one.name)}") for one in revocation.approvals)
    entries.extend(TimelineEntry(one.at, f"rejected by {Foreign(one.by.name)}") for one in revocation.rejections)
    if revocation.evidence_check is not None:
        entries.append(TimelineEntry(revocation.evidence_check.at, revocation.evidence_check.said))
    if revocation.reported_again_at is not None:
        entries.append(TimelineEntry(revocation.reported_again_at, "reported again"))
    if revocation.execution is not None:
        name = revocation.account.name if revocation.account is not None else "the account"
        done = ACTION_SPECS[revocation.execution.action].happened(revocation.execution, name)
        entries.append(TimelineEntry(revocation.execution.at, done.removesuffix(".")))
    entries.extend(TimelineEntry(closed.at, closed.said.removesuffix(".")) for closed in revocation.closed_alerts)
    if revocation.key_distribution is not None and revocation.key_distribution.outcome is KeyDistributionOutcome.DONE:
        entries.append(TimelineEntry(revocation.key_distribution.at, "new key written to Key Vault"))
    skipped = {State.RECEIVED, State.CONTAINED} if revocation.execution is not None else {State.RECEIVED}
    entries.extend(
        TimelineEntry(change.at, f"state: {change.state.replace('_', ' ')}")
        for change in revocation.changes
        if change.state not in skipped
    )
    return entries
