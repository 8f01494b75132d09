"""The words for each state and reason of design.md, shared by mail and incident."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from shared.actions.registry import ACTION_SPECS
from shared.domain.decision.action_spec import ActionSpec, Tone
from shared.domain.text import clean, defang, utc
from shared.followup.briefing.model import Briefing


@dataclass(frozen=True, slots=True)
class Headline:
    """What a state means to its reader: `label` for the subject, `lead` for the first sentences.

    `pulled`: the key or policy behind the credential was changed, so what else used it has stopped working.
    """

    label: str
    tone: Tone
    executed: bool
    lead: str


def headline(briefing: Briefing) -> Headline:
    """Return the words for `briefing`'s state. Raises ValueError for a state that design.md does not name."""
    spec = _spec(briefing)
    special = spec.state_texts.get((briefing.state, briefing.reason)) if spec is not None else None
    if special is not None:
        lead = special.lead.format(what=_what(briefing), others=_others(briefing))
        return Headline(special.label, special.tone, executed=True, lead=lead)
    words = _EXCEPTIONS.get((briefing.state, briefing.reason)) or _STATES.get(briefing.state)
    if words is None:
        raise ValueError(f"{clean(briefing.state, limit=40)!r} is not a state of a revocation")
    return Headline(words.label, words.tone, words.executed, words.lead(briefing))


def title(briefing: Briefing) -> str:
    """Return one line that says what leaked and how it stands."""
    what = "Unreadable report of a leak" if briefing.reason == "malformed" else _what(briefing)
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


def command(briefing: Briefing) -> str | None:
    """Return the command a person may need: after an execution what it calls for, else what revokes by hand."""
    words = headline(briefing)
    spec = _spec(briefing)
    if spec is None:
        return None
    if words.executed:
        return spec.afterwards(briefing.account_id, briefing.target)
    return spec.by_hand(briefing.account_id, briefing.target) if words.tone is Tone.LIVE else None


@dataclass(frozen=True, slots=True)
class _State:
    label: str
    tone: Tone
    executed: bool
    lead: Callable[[Briefing], str]


def _spec(briefing: Briefing) -> ActionSpec | None:
    return ACTION_SPECS.get(briefing.action) if briefing.action is not None else None


def _others(briefing: Briefing) -> str:
    spec = _spec(briefing)
    if spec is None or briefing.target is None:
        return ""
    used = clean(spec.used(briefing.target), limit=120)
    return f" Anything else that used {used} stopped working with it: see below how to recover."


def _what(briefing: Briefing) -> str:
    """Return what this is about: "leaked account SAS of storage account robustmodels"."""
    if briefing.ordered:
        where = f"storage account {clean(briefing.account, limit=60)}" if briefing.account else "a storage account"
        return f"access to {where} that a responder ordered to be revoked"
    return f"leaked {subject_of(briefing)}"


def _reported(briefing: Briefing) -> str:
    if briefing.ordered:
        return "A revocation was ordered."
    return f"A leaked {subject_of(briefing)} was reported."


def _received(briefing: Briefing) -> str:
    return f"{_reported(briefing)} Sasquash has not decided yet; it may still work."


def _observed(briefing: Briefing) -> str:
    return (
        f"The {_what(briefing)} STILL WORKS. Sasquash only observes here: it would have revoked "
        "it, and did not. A person has to."
    )


def _awaiting_approval(briefing: Briefing) -> str:
    until = f" by {utc(briefing.deadline)}" if briefing.deadline else ""
    return (
        f"The {_what(briefing)} STILL WORKS. Sasquash is ready to revoke it and waits for a person's decision{until}."
    )


def _contained(briefing: Briefing) -> str:
    return (
        f"The {_what(briefing)} was revoked; that it is refused is not proven yet. Azure can "
        f"take up to ten minutes to refuse it everywhere.{_others(briefing)}"
    )


def _proven(briefing: Briefing) -> str:
    return f"The {_what(briefing)} is dead: revoked, and that is proven.{_others(briefing)}"


def _closed(briefing: Briefing) -> str:
    return f"The case of the {_what(briefing)} is closed: reported, and nothing is open."


def _dismissed(briefing: Briefing) -> str:
    return f"The {_what(briefing)} needs no action, and for a reason that is certain."


def _unresolved(briefing: Briefing) -> str:
    return (
        f"Sasquash could not decide about the {_what(briefing)}, and has revoked nothing. "
        "Treat it as working until a person has looked."
    )


def _failed(briefing: Briefing) -> str:
    return (
        f"Sasquash tried to revoke the {_what(briefing)} and COULD NOT. Treat it as working: a person has to revoke "
        "it now."
    )


def _still_alive(briefing: Briefing) -> str:
    return f"The {_what(briefing)} was revoked and is STILL ACCEPTED. A person has to stop it now.{_others(briefing)}"


def _undecided(briefing: Briefing) -> str:
    return (
        f"The {_what(briefing)} STILL WORKS, and nobody decided on the plan to revoke it until its deadline. "
        "A person has to, now."
    )


def _undelivered(_briefing: Briefing) -> str:
    return (
        "Event Grid could not deliver reports of leaks to Sasquash and gave up. What could be read of them was taken "
        "in now, late; see below. Find out why the app did not answer."
    )


def _unread(_briefing: Briefing) -> str:
    return (
        "Another tool reported a leak, and Sasquash can't read there what leaked: see below why. Treat it as working "
        "until a person has looked."
    )


def _crashed(briefing: Briefing) -> str:
    return (
        f"{_reported(briefing)} An error that nobody foresaw stopped Sasquash each time that it worked on it. Treat "
        "what leaked as working: a person has to look now."
    )


def _malformed(_briefing: Briefing) -> str:
    return (
        "A leak was reported in a form that Sasquash cannot read, so nothing was revoked. Ask who reported it what "
        "leaked, and treat that as working."
    )


_STATES: Mapping[str, _State] = MappingProxyType(
    {
        "received": _State("received, not decided yet", Tone.LIVE, False, _received),
        "observed": _State("STILL LIVE, only observed", Tone.LIVE, False, _observed),
        "awaiting_approval": _State("STILL LIVE, awaiting approval", Tone.LIVE, False, _awaiting_approval),
        "contained": _State("contained, not proven yet", Tone.PENDING, True, _contained),
        "proven": _State("revoked and proven dead", Tone.DONE, True, _proven),
        "closed": _State("closed", Tone.DONE, True, _closed),
        "dismissed": _State("dismissed, nothing to do", Tone.DONE, False, _dismissed),
        "unresolved": _State("UNRESOLVED, a person must look", Tone.LIVE, False, _unresolved),
        "failed": _State("FAILED to revoke, still live", Tone.LIVE, False, _failed),
    }
)

# Where the reason changes what the state means to its reader.
_EXCEPTIONS: Mapping[tuple[str, str | None], _State] = MappingProxyType(
    {
        ("failed", "still_alive"): _State("FAILED, revoked but still accepted", Tone.LIVE, True, _still_alive),
        ("unresolved", "undecided"): _State("NOT DECIDED IN TIME, still live", Tone.LIVE, False, _undecided),
        ("failed", "undelivered"): _State("FAILED to be delivered", Tone.LIVE, False, _undelivered),
        ("failed", "unread"): _State("FAILED to be read where it was reported", Tone.LIVE, False, _unread),
        ("failed", "crashed"): _State("FAILED, an error stopped Sasquash", Tone.LIVE, False, _crashed),
        ("unresolved", "malformed"): _State("UNRESOLVED, a person must look", Tone.LIVE, False, _malformed),
    }
)

_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "expired": "The token has expired.",
        "covered": "What it hung on was revoked for another leak: it is dead already.",
        "not_ours": "None of the storage accounts that Sasquash looks after is meant.",
        "invalid": "What was reported is not a credential.",
        "rejected": "A person rejected the plan.",
        "no_key_matches": (
            "None of the account's present keys made it. Either its key was rotated since, or it is forged: "
            "the two look alike."
        ),
        "unknown_version": "It is of a version that Sasquash cannot check, so which key made it is unknown.",
        "path_lost": "The path that it was made for is lost, and without it the signature cannot be checked.",
        "loose": "It was found without the address of an account, so which account it opens is unknown.",
        "policy_gone": "Its stored access policy is gone. Once one of that name is made, it works again.",
        "policy_expired": "Its stored access policy has expired. If the policy is extended, it works again.",
        "blocked": "Azure refused: a lock, a missing right, a policy or the network stands in the way.",
        "malformed": "The report could not be read.",
        "undecided": "Nobody decided on the plan until its deadline.",
        "undelivered": "Event Grid gave up on delivering it.",
        "unread": "The alert that tells of it can't be read.",
        "crashed": "An error that nobody foresaw stopped it each time that it was tried.",
        "lockdown_undone": "The lockdown that had kept it out was undone.",
        "own_storage": "It is a credential of Sasquash's own storage account, which Sasquash never touches.",
        "still_alive": "The lever was pulled, and what it should have stopped goes on.",
    }
)
