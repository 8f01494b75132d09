"""The texts for each state and reason of design.md, shared by mail and incident."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from shared.actions.registry import ACTION_SPECS
from shared.domain.decision.action_spec import ActionSpec, StateText, Tone
from shared.domain.text import Code, clean, defang, utc
from shared.followup.briefing.model import Briefing

_EXECUTED = frozenset({"contained", "proven", "closed"})


@dataclass(frozen=True, slots=True)
class Headline:
    """What a state means to its reader: `label` for the subject, `lead` for the first sentences.

    `executed`: the action ran, so what else used the same key or policy has stopped working.
    """

    label: str
    tone: Tone
    executed: bool
    lead: str


def headline(briefing: Briefing) -> Headline:
    """Return the texts for `briefing`'s state. Raises ValueError for a state that design.md does not name."""
    spec, state = _spec(briefing), (briefing.state, briefing.reason)
    special = spec.state_texts.get(state) if spec is not None else None
    if state == ("dismissed", "rejected") and briefing.reported_again_at is not None:
        special = _REPORTED_AGAIN
    of_group = _GROUPS.get(briefing.state) if briefing.group is not None else None
    text = of_group or special or _EXCEPTIONS.get(state) or _STATES.get(briefing.state)
    if text is None:
        raise ValueError(f"{clean(briefing.state, limit=40)!r} is not a state of a revocation")
    executed = (
        (special is not None and special is not _REPORTED_AGAIN)
        or briefing.state in _EXECUTED
        or briefing.reason == "still_alive"
    )
    lead = text.lead.format(
        what=_what(briefing),
        reported=_reported(briefing),
        others=_others(briefing),
        until=f" by {utc(briefing.deadline)}" if briefing.deadline else "",
        waits_for=f" {clean(briefing.waits_for)}" if briefing.waits_for else "",
    )
    return Headline(text.label, text.tone, executed, lead)


def title(briefing: Briefing) -> str:
    """Return one line that says what leaked and how it stands."""
    is_report = briefing.reason == "malformed" and briefing.group is None
    what = "Unreadable report of a leak" if is_report else _what(briefing)
    return f"{what[0].upper()}{what[1:]}: {headline(briefing).label}"


def subject_of(briefing: Briefing) -> str:
    """Return what leaked: "account SAS of storage account robustmodels"."""
    kind = clean(briefing.kind, limit=60)
    if briefing.account:
        return f"{kind} of storage account {clean(briefing.account, limit=60)}"
    if briefing.host:
        return f"{kind} for {defang(briefing.host, limit=120)}"
    return kind


def why(briefing: Briefing) -> str | None:
    """Return the reason of the state as a sentence; None if there is none."""
    if briefing.reason is None:
        return None
    return _REASONS.get(briefing.reason, f"Reason: {clean(briefing.reason, limit=200)}.")


def command(briefing: Briefing) -> Code | None:
    """Return the command that people may need: for recovery after an execution, else for a manual revocation."""
    words = headline(briefing)
    spec = _spec(briefing)
    if spec is None:
        return None
    if words.executed:
        return spec.afterwards(briefing.account_id, briefing.target)
    return spec.by_hand(briefing.account_id, briefing.target) if words.tone is Tone.LIVE else None


def _spec(briefing: Briefing) -> ActionSpec | None:
    return ACTION_SPECS.get(briefing.action) if briefing.action is not None else None


def _others(briefing: Briefing) -> str:
    spec = _spec(briefing)
    if spec is None or briefing.target is None:
        return ""
    used = clean(spec.used(briefing.target), limit=120)
    return f" Everything else that used {used} stopped working. See below how to recover."


def _what(briefing: Briefing) -> str:
    """Return what this is about: "leaked account SAS of storage account robustmodels"."""
    if briefing.group is not None:
        reason = {None: "", "loose": " (unattributed)"}.get(briefing.reason)
        kind = f" ({clean(briefing.reason or '', limit=40).replace('_', ' ')})" if reason is None else reason
        return f"{briefing.group.total} unconfirmed findings{kind}"
    if briefing.ordered:
        where = f"storage account {clean(briefing.account, limit=60)}" if briefing.account else "a storage account"
        return f"access to {where} that a responder ordered to be revoked"
    return f"leaked {subject_of(briefing)}"


def _reported(briefing: Briefing) -> str:
    if briefing.ordered:
        return "A revocation was ordered."
    return f"A leaked {subject_of(briefing)} was reported."


_STATES: Mapping[str, StateText] = MappingProxyType(
    {
        "received": StateText(
            "received, not decided yet",
            Tone.LIVE,
            "{reported} Sasquash has not decided yet. The credential may still work.",
        ),
        "observed": StateText(
            "STILL ACTIVE, observe mode",
            Tone.LIVE,
            "The {what} is STILL ACTIVE. Sasquash is in observe mode and did not revoke it. Revoke it manually.",
        ),
        "awaiting_approval": StateText(
            "STILL ACTIVE, approval required",
            Tone.LIVE,
            "The {what} is STILL ACTIVE. Revoking it requires approval{until}.{waits_for}",
        ),
        "contained": StateText(
            "revoked, verification in progress",
            Tone.PENDING,
            "The {what} was revoked. Verification is in progress: Azure can take up to 10 minutes to reject it "
            "everywhere.{others}",
        ),
        "proven": StateText("verified revoked", Tone.DONE, "The {what} is verified revoked.{others}"),
        "closed": StateText("closed", Tone.DONE, "The {what} is verified revoked. No open items."),
        "dismissed": StateText("dismissed, no action needed", Tone.DONE, "No action is needed for the {what}."),
        "unresolved": StateText(
            "UNRESOLVED, review required",
            Tone.LIVE,
            "Sasquash could not decide on the {what} and did not revoke anything. Treat it as active until you have "
            "reviewed it.",
        ),
        "failed": StateText(
            "REVOCATION FAILED, still active",
            Tone.LIVE,
            "Sasquash could NOT revoke the {what}. Treat it as active. Revoke it manually now.",
        ),
    }
)

_REPORTED_AGAIN = StateText(
    "REJECTED, and reported again",
    Tone.LIVE,
    "The {what} was reported again. The plan to revoke it was rejected, so nothing was revoked. "
    "Review the rejection.",
)

# Of several findings that nobody confirmed.
_GROUPS: Mapping[str, StateText] = MappingProxyType(
    {
        "observed": StateText(
            "observe mode, review required",
            Tone.LIVE,
            "{what} were reported within an hour. Sasquash is in observe mode and changed nothing. Review them.",
        ),
        "awaiting_approval": StateText(
            "approval required",
            Tone.LIVE,
            "{what} were reported within an hour, and each requires approval. Anybody can make up reports: one of "
            "them may be real.",
        ),
        "unresolved": StateText(
            "UNRESOLVED, review required",
            Tone.LIVE,
            "Sasquash could not decide on {what} and did not revoke anything. Anybody can make up reports: treat "
            "them as active until you have reviewed them.",
        ),
        "failed": StateText(
            "FAILED, review required",
            Tone.LIVE,
            "Sasquash failed on {what} within an hour. Treat what they report as active until you have reviewed "
            "them.",
        ),
        "dismissed": StateText("settled", Tone.DONE, "None of {what} is open any more."),
    }
)

# Where the reason changes what the state means to its reader.
_EXCEPTIONS: Mapping[tuple[str, str | None], StateText] = MappingProxyType(
    {
        ("failed", "still_alive"): StateText(
            "FAILED, revoked but still accepted",
            Tone.LIVE,
            "The {what} was revoked and is STILL ACCEPTED by Azure. Stop it manually now.{others}",
        ),
        ("dismissed", "rejected"): StateText(
            "rejected, nothing revoked",
            Tone.DONE,
            "The plan to revoke the {what} was rejected. Nothing was revoked.",
        ),
        ("unresolved", "undecided"): StateText(
            "NO DECISION BEFORE THE DEADLINE, still active",
            Tone.LIVE,
            "The {what} is STILL ACTIVE. Nobody approved or rejected the plan to revoke it before its deadline. "
            "Decide now.",
        ),
        ("failed", "undelivered"): StateText(
            "REPORT DELIVERY FAILED",
            Tone.LIVE,
            "Event Grid could not deliver leak reports to Sasquash and stopped retrying. Sasquash has now processed "
            "the reports that it could read; see below. Find out why the app did not respond.",
        ),
        ("failed", "unread"): StateText(
            "ALERT NOT READABLE",
            Tone.LIVE,
            "Another tool reported a leak, but Sasquash cannot read the alert; see below for the cause. Treat the "
            "credential as active until you have reviewed it.",
        ),
        ("failed", "crashed"): StateText(
            "FAILED with an unexpected error",
            Tone.LIVE,
            "{reported} Sasquash failed with an unexpected error each time it processed it. Treat the credential as "
            "active. Review it now.",
        ),
        ("failed", "tampered"): StateText(
            "HISTORY CHANGED: Sasquash may be compromised",
            Tone.LIVE,
            "The history of records was changed after it was written. Somebody has written to Sasquash's tables as "
            "its identity, or with its rights. Treat that identity as compromised; docs/security.md says what to do.",
        ),
        ("unresolved", "other_service"): StateText(
            "NOT HANDLED, another service",
            Tone.LIVE,
            "The {what} was reported. Sasquash revokes credentials of Azure Storage only, and did nothing. Treat it "
            "as active: regenerate it in its service.",
        ),
        ("unresolved", "malformed"): StateText(
            "UNRESOLVED, review required",
            Tone.LIVE,
            "Sasquash received a leak report that it cannot read and did not revoke anything. Ask the reporter what "
            "leaked. Treat that credential as active.",
        ),
    }
)

_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "expired": "The token has expired.",
        "covered": "Already revoked for another finding.",
        "duplicate": "The same secret has another record, which decides.",
        "not_ours": "Not an account of this tenant.",
        "not_covered": "Its account is in no monitored subscription, so Sasquash cannot revoke it.",
        "invalid": "The report does not contain a credential.",
        "rejected": "The plan was rejected by an approver.",
        "no_key_matches": (
            "No current key of the account signed it. Either the key was rotated since, or the token is forged: the "
            "two cannot be distinguished."
        ),
        "unknown_version": "Its version is not supported, so the key that signed it is unknown.",
        "path_lost": "The path that it was issued for is missing, and its signature cannot be verified without it.",
        "loose": "It was found without the address of an account and is unattributed.",
        "other_service": "It is a credential of another Azure service, which Sasquash does not revoke.",
        "policy_gone": "Its stored access policy does not exist. Re-creating the policy re-enables the token.",
        "policy_expired": "Its stored access policy has expired. Extending the policy re-enables the token.",
        "blocked": "Azure refused: a resource lock, a missing permission, a policy or a network rule prevents it.",
        "malformed": "The report could not be read.",
        "undecided": "Nobody approved or rejected the plan before its deadline.",
        "undelivered": "Event Grid stopped retrying the delivery.",
        "unread": "The alert that reported it cannot be read.",
        "crashed": "An unexpected error occurred each time it was processed.",
        "lockdown_undone": "The lockdown that blocked it was undone.",
        "own_storage": "It is a credential of Sasquash's own storage account, which Sasquash never changes.",
        "tampered": "The history of records was changed after it was written.",
        "still_alive": "The action ran, but what it should have stopped is still accepted.",
        "in_effect": "The action blocks it, and does not revoke it.",
        "revived": "What had been revoked is valid again, so it is decided anew.",
    }
)
