"""A record as JSON, for people and programs: all that is in it, but nothing that opens anything.

The proof tokens stay out, as does what only the machinery needs. docs/openapi.yaml describes every field, and a test
holds the two together.
"""

import json
from datetime import datetime

from shared.domain.decision.effective_permissions import of_record
from shared.domain.finding import Finding
from shared.domain.revocation import Execution, LockedDown, Revocation
from shared.sas import Credential, assess

type Json = dict[str, object]


def summary(revocation: Revocation, *, now: datetime) -> Json:
    """Return what a list shows of a record."""
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


def whole(revocation: Revocation, *, now: datetime) -> Json:
    """Return everything that a person may want to know of a record, but for its history."""
    finding, account, execution = revocation.finding, revocation.account, revocation.execution
    credential = finding.credential
    return summary(revocation, now=now) | {
        "account_id": account.id if account is not None else None,
        "leak": _leak(credential, of_record(revocation) or credential, now=now) if credential is not None else None,
        "order": finding.order if finding.evidence is None else None,
        "evidence": finding.evidence,
        "url": finding.url,
        "detected_at": finding.detected_at,
        "reported_by": finding.reported_by,
        "reported_because": finding.reason,
        "sightings": revocation.sightings,
        "alerts": revocation.alerts,
        "closed_alerts": revocation.closed_alerts,
        "verdict": {
            "key": revocation.key_name,
            "key_sha256": revocation.key_sha256,
            "attributed_at": revocation.attributed_at,
        },
        "liveness": revocation.liveness,
        "decided_by": revocation.decided_by,
        "plan": revocation.plan,
        "at_deadline": revocation.at_deadline if revocation.deadline is not None else None,
        "approval": revocation.approval,
        "execution": _execution(execution) if execution is not None else None,
        "verification": revocation.verification,
        "key_distribution": revocation.key_distribution,
        "lockdown": _lockdown(revocation.lockdown) if revocation.lockdown is not None else None,
        "incident": revocation.filed,
        "usage": revocation.usage,
        "remains": revocation.remains,
        "owners": revocation.owners,
        "owners_rejected": revocation.owners_rejected,
        "notifications": revocation.notifications,
    }


def _kind(finding: Finding) -> str:
    """The kind of credential; or what stands in for one."""
    if finding.credential is not None:
        return finding.credential.kind
    if finding.evidence is not None:
        return "alert"
    return "order" if finding.order is not None else "unreadable_report"


def _leak(credential: Credential, granted: Credential, *, now: datetime) -> Json:
    """`granted` is the credential with the rights and the end that its stored access policy gives it."""
    risk = assess(granted, now=now)
    return {
        "credential": credential.to_json(),
        "service": credential.service,
        "resource_kind": credential.resource_kind,
        "container": credential.container,
        "path": credential.resource_path or None,
        "policy": credential.policy,
        "permissions": granted.permissions,
        "starts": credential.starts,
        "expires": granted.expires,
        "grants": risk.grants,
        "reasons": risk.reasons,
        "notes": risk.notes,
    }


def _execution(execution: Execution) -> Json:
    return {
        "action": execution.action,
        "target": execution.target,
        "at": execution.at,
        "old_sha256": execution.old_sha256 or None,
        "new_sha256": execution.new_sha256 or None,
        "confirmed_by": execution.confirmed_by,
        "correlation_id": execution.correlation_id,
        "notes": execution.notes,
    }


def _lockdown(locked: LockedDown) -> Json:
    """`before` and `after` are ARM's properties."""
    return {
        "kind": locked.kind,
        "at": locked.at,
        "before": json.loads(locked.before),
        "after": json.loads(locked.after) if locked.after else None,
        "undone_at": locked.undone_at,
    }
