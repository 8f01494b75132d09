"""What is thought about a finding while its account is locked: who signed it, what would be done, may we. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.decide import plan as plans
from shared.decide.attribution import Verdict, attribute, expired
from shared.decide.policy import Action, Decision, PastRotation, decide
from shared.finding import Finding
from shared.levers.account_key import AccountKey
from shared.retired_keys import RetiredKeys
from shared.revocation import AccountFacts, Plan, Reason
from shared.sas import Credential
from shared.settings import Settings

_RECENT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Weighed:
    """A waiting finding after the thinking: the verdict, and for a proven key the plan and who decides on it."""

    finding: Finding
    verdict: Verdict
    plan: Plan | None = None
    decision: Decision | None = None

    @property
    def acts(self) -> bool:
        """Whether the lever may be pulled without a person."""
        return self.decision is not None and self.decision.action is Action.ACT


@dataclass(frozen=True, slots=True)
class Scene:
    """All that was read under the lock, in one round."""

    account: AccountFacts
    keys: Mapping[str, AccountKey]
    waiting: tuple[Finding, ...]  # the finding that took the lock comes first
    rotations: tuple[PastRotation, ...]
    at: datetime


def weigh(
    finding: Finding,
    scene: Scene,
    *,
    retired: RetiredKeys,
    describe: Callable[[AccountFacts, str], tuple[str, ...]],
    settings: Settings,
    now: datetime,
) -> Weighed:
    """Return what the arithmetic, the plan and the rule table make of `finding`.

    `describe` says who breaks when a key of an account is regenerated. Raises ValueError for an unreadable report,
    which never waits for an account.
    """
    credential = finding.credential
    if credential is None:
        raise ValueError("an unreadable report never waits for an account")
    values = {name: key.value for name, key in scene.keys.items()}
    verdict = expired(credential, now=now) or attribute(credential, account=scene.account.name, keys=values)
    if verdict.reason is Reason.NO_KEY_MATCHES:
        verdict = _by_retired_key(credential, scene.account.name, retired) or _with_hint(verdict, scene)
    if verdict.reason is not None or verdict.key_name is None:
        return Weighed(finding, verdict)
    breaks = describe(scene.account, verdict.key_name)
    plan = plans.make(credential, verdict, scene.account, breaks=breaks)
    decision = decide(
        plan, credential, tags=scene.account.tags, rotations=scene.rotations, settings=settings, now=now
    )
    return Weighed(finding, verdict, plan, decision)


def _by_retired_key(credential: Credential, account: str, retired: RetiredKeys) -> Verdict | None:
    """Return the verdict on what a key had signed that we regenerated lately, None where none had."""
    key = retired.behind(credential, account=account)
    if key is None:
        return None
    when = f"{key.at:%H:%M:%S} UTC"
    detail = f"{key.name} of {account}, which is behind it, was regenerated at {when} for another leak."
    return Verdict(detail, key_name=key.name, key_sha256=key.sha256, reason=Reason.COVERED)


def _with_hint(verdict: Verdict, scene: Scene) -> Verdict:
    """Return a verdict of "no key matches" that names the rotation of ours that may be why."""
    lately = [rotation for rotation in scene.rotations if scene.at - rotation.at < _RECENT]
    if not lately:
        return verdict
    last = max(lately, key=lambda rotation: rotation.at)
    hint = f"Sasquash itself regenerated {last.key_name} at {last.at:%H:%M:%S} UTC: that key may have been behind it."
    return replace(verdict, detail=f"{verdict.detail} {hint}")
