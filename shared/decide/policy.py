"""Who decides: the mode, the rule table, and the limits that no mode lifts (design decision 3). Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.revocation import Plan
from shared.sas import Credential, Kind, is_writable
from shared.settings import Mode, Settings

MODE_TAG = "sasquash-mode"
_DAY = timedelta(hours=24)


class Action(StrEnum):
    ACT = "act"
    ASK = "ask"
    OBSERVE = "observe"


@dataclass(frozen=True, slots=True)
class Decision:
    """What may be done without a person, and the English sentence that says why."""

    action: Action
    why: str


@dataclass(frozen=True, slots=True)
class PastRotation:
    """A rotation of one of the account's keys, done by Sasquash."""

    key_name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the rule table: the first that applies decides."""

    name: str
    applies: Callable[[Credential, datetime, Settings], bool]
    action: Action
    why: str


# A five-minute read token that a web shop hands to everybody is no reason to break production unasked: what acts
# alone is what nobody hands out, what changes data, and what would stay open for long.
RULES = (
    Rule(
        "account-key",
        lambda credential, *_: credential.kind is Kind.ACCOUNT_KEY,
        Action.ACT,
        "an account key opens everything in the account",
    ),
    Rule(
        "account-wide",
        lambda credential, *_: credential.kind is Kind.ACCOUNT_SAS,
        Action.ACT,
        "an account SAS reaches every resource of its services",
    ),
    Rule(
        "writes",
        lambda credential, *_: is_writable(credential),
        Action.ACT,
        "the token can write or delete",
    ),
    Rule(
        "lives-long",
        lambda credential, now, settings: (
            credential.expires is None or credential.expires - now > settings.act_alone_above
        ),
        Action.ACT,
        "the token would live on for longer than the settings let pass",
    ),
    Rule(
        "small",
        lambda *_: True,
        Action.ASK,
        "the token only reads one resource and ends soon, while the key behind it may serve production",
    ),
)


def decide(
    plan: Plan,
    credential: Credential,
    *,
    tags: Mapping[str, str],
    rotations: Iterable[PastRotation],
    settings: Settings,
    now: datetime,
) -> Decision:
    """Return who decides on `plan`. `rotations` are ours of this account; `tags` were read from ARM just now."""
    mode, from_where = effective_mode(tags, settings)
    if mode is Mode.OBSERVE:
        return Decision(Action.OBSERVE, f"the mode is observe ({from_where}): nothing is touched")
    if mode is Mode.APPROVE:
        return Decision(Action.ASK, f"the mode is approve ({from_where}): a person decides on every plan")
    limit = _limit(plan, rotations, settings, now)
    if limit is not None:
        return Decision(Action.ASK, f"{limit} (mode auto: {from_where})")
    rule = next(rule for rule in RULES if rule.applies(credential, now, settings))
    return Decision(rule.action, f"rule {rule.name}: {rule.why} (mode auto: {from_where})")


def effective_mode(tags: Mapping[str, str], settings: Settings) -> tuple[Mode, str]:
    """Return the mode for an account, and where it comes from. The tag counts only as far as the settings let it."""
    wanted = next((value for name, value in tags.items() if name.lower() == MODE_TAG), None)
    if wanted is None:
        return settings.mode, "SASQUASH_MODE"
    allowed = next((mode for mode in settings.tag_modes if mode.value == wanted.strip().lower()), None)
    if allowed is None:
        return (
            settings.mode,
            f"SASQUASH_MODE; the account's tag {MODE_TAG} asks for what SASQUASH_TAG_MODES forbids",
        )
    return allowed, f"the account's tag {MODE_TAG}"


def _limit(plan: Plan, rotations: Iterable[PastRotation], settings: Settings, now: datetime) -> str | None:
    lately = [rotation for rotation in rotations if now - rotation.at < _DAY]
    if any(rotation.key_name != plan.target for rotation in lately):
        return "the account's other key was rotated within 24 hours: a second rotation could cut off every client"
    if len(lately) >= settings.rotations_a_day:
        return f"the account's keys were rotated {len(lately)} times within 24 hours: something may be feeding us"
    return None
