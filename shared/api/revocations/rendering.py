"""Makes responses of records. Verification tokens and internal fields are left out."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from shared.api.revocations import responses
from shared.domain.decision.effective_permissions import of_record
from shared.domain.decision.people import quorum_of, rejecters
from shared.domain.execution import Execution, LockedDown
from shared.domain.finding import Finding
from shared.domain.history import HistoryEntry
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.text import clean
from shared.persistence.history_rows import Checked
from shared.sas import Credential, assess

type Json = dict[str, Any]

# Fields whose names and contents are the same in the record and in the response.
_SAME = (
    *("sightings", "alerts", "closed_alerts", "liveness", "decided_by", "plan", "verification"),
    *("first_approval", "approval", "rejections", "evidence_check", "reported_again_at"),
    *("key_distribution", "usage", "remains", "owners", "owners_rejected", "notifications"),
)


def summary(revocation: Revocation, *, now: datetime) -> responses.Summary:
    """Return a record as an item of a list."""
    return msgspec.convert(_summary(revocation, now=now), responses.Summary, from_attributes=True)


def whole(
    revocation: Revocation,
    *,
    now: datetime,
    history: Sequence[HistoryEntry] | None = None,
    check: Checked | None = None,
) -> responses.Revocation:
    """Return a record in full; with its history, oldest first, and the check of it, where one is given."""
    finding, account, execution = revocation.finding, revocation.account, revocation.execution
    waits = revocation.state is State.AWAITING_APPROVAL
    fields = _summary(revocation, now=now) | {name: getattr(revocation, name) for name in _SAME}
    fields |= {
        "account_id": account.id if account is not None else None,
        "leak": _leak(finding.credential, revocation, now=now),
        "order": finding.order if finding.evidence is None else None,
        "evidence": finding.evidence,
        "url": finding.url,
        "detected_at": finding.detected_at,
        "reported_by": finding.reported_by,
        "submitted_by": finding.submitted_by,
        "reported_because": finding.reason,
        "alerts_left_out": len(revocation.named_alerts.left_out),
        "verdict": {
            "key": revocation.key_name,
            "key_sha256": revocation.key_sha256,
            "attributed_at": revocation.attributed_at,
        },
        "approvers_required": quorum_of(revocation).approvers if waits else None,
        "rejecters_required": rejecters(revocation, now=now) if waits else None,
        "at_deadline": revocation.at_deadline if revocation.deadline is not None else None,
        "refusal": revocation.refusal if revocation.reason is Reason.BLOCKED else None,
        "execution": _execution(execution) if execution is not None else None,
        "changed_by": revocation.changed_by.said if revocation.changed_by is not None else None,
        "lockdown": _lockdown(revocation.lockdown) if revocation.lockdown is not None else None,
        "incident": revocation.filed,
    }
    if history is not None:
        fields |= {"history": history, "history_check": check}
    return msgspec.convert(fields, responses.Revocation, from_attributes=True)


def _summary(revocation: Revocation, *, now: datetime) -> Json:
    finding, credential, plan = revocation.finding, revocation.finding.credential, revocation.plan
    granted = of_record(revocation)
    return {
        "id": revocation.fingerprint,
        "state": revocation.state,
        "reason": revocation.reason,
        "detail": revocation.detail,
        "kind": _kind(finding),
        "c3id": credential.c3id if credential is not None else None,
        "severity": assess(granted, now=now).severity if granted is not None else None,
        "account": revocation.account_name,
        "action": plan.action if plan is not None else None,
        "target": plan.target if plan is not None else None,
        "source": finding.source,
        "received_at": revocation.received_at,
        "changed_at": revocation.changes[-1].at if revocation.changes else revocation.received_at,
        "deadline": revocation.deadline,
    }


def _kind(finding: Finding) -> str:
    """Return the kind of credential, or what the record is about instead."""
    if finding.credential is not None:
        return finding.credential.kind.value
    if finding.evidence is not None:
        return "alert"
    if finding.other is not None:
        return "other_service"
    return "order" if finding.order is not None else "unreadable_report"


def _leak(credential: Credential | None, revocation: Revocation, *, now: datetime) -> Json | None:
    """Return the leak, with the permissions and the expiry that its stored access policy grants."""
    if credential is None:
        return None
    granted = of_record(revocation) or credential
    risk = assess(granted, now=now)
    return {
        "credential": credential.to_json(),
        "service": credential.service,
        "resource_kind": credential.resource_kind,
        "container": credential.container,
        "path": credential.resource_path or None,
        "other_paths": revocation.paths.others(credential),
        "policy": credential.policy,
        "permissions": granted.permissions,
        "starts": credential.starts,
        "expires": granted.expires,
        "grants": clean(risk.grants),
        "reasons": tuple(map(clean, risk.reasons)),
        "notes": tuple(map(clean, risk.notes)),
    }


def _execution(execution: Execution) -> Json:
    same = ("action", "target", "at", "confirmed_by", "correlation_id", "notes")
    return {name: getattr(execution, name) for name in same} | {
        "old_sha256": execution.old_sha256 or None,
        "new_sha256": execution.new_sha256 or None,
    }


def _lockdown(locked: LockedDown) -> Json:
    """Return a lockdown; `before` and `after` are ARM's properties."""
    return {
        "action": locked.action,
        "kind": locked.kind,
        "at": locked.at,
        "before": json.loads(locked.before),
        "after": json.loads(locked.after) if locked.after else None,
        "undone_at": locked.undone_at,
    }
