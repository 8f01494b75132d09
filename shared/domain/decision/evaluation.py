"""What is thought about a finding while its account is locked: what is behind it, what would be done, may we.

Pure. What would be done is made in `decide/proposal`; this is where it meets what was read, and who decides.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.account import AccountFacts, AccountKey, PolicyReading
from shared.domain.decision.approval_policy import Decision, PastPull, decide
from shared.domain.decision.attribution import Verdict, attribute, expired, named_policy
from shared.domain.decision.planner import Proposals
from shared.domain.decision.rules import Action
from shared.domain.finding import Finding
from shared.domain.retired_keys import RetiredKeys
from shared.domain.revocation import Approval, Liveness, Plan, Reason
from shared.domain.target import InvalidTarget, Lever, PolicyTarget
from shared.sas import Credential, Kind
from shared.settings import Settings

_RECENT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Known:
    """What only the finding's own record says."""

    approval: Approval | None = None
    liveness: Liveness | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """All that was read under the lock. `policies` are by the text of their targets, those of `policy_of`."""

    account: AccountFacts
    keys: Mapping[str, AccountKey]
    waiting: tuple[Finding, ...]  # the finding that took the lock comes first
    pulls: tuple[PastPull, ...]
    at: datetime
    policies: Mapping[str, PolicyReading] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Weighed:
    """A waiting finding after the thinking: the verdict, and if there is something to do, the plan and who decides.

    A verdict with a reason ends the finding; the plan that may come with it is the tombstone for a policy that is
    gone. With neither plan nor reason it is undecided: its stored access policy was not read.
    """

    finding: Finding
    verdict: Verdict
    plan: Plan | None = None
    decision: Decision | None = None

    @property
    def acts(self) -> bool:
        """Whether the plan may be carried out now."""
        return self.decision is not None and self.decision.action is Action.ACT


def policy_of(finding: Finding, scene: Scene) -> PolicyTarget | None:
    """Return the stored access policy that must be read before `finding` can be weighed, None where none must.

    It is read only for an order, and for a token that arithmetic has proven: a forged one makes nobody look anywhere.
    """
    order, credential = finding.order, finding.credential
    if order is not None and order.lever is Lever.STORED_POLICY:
        try:
            return PolicyTarget.parse(order.target)
        except InvalidTarget:
            return None
    if credential is None or credential.kind is not Kind.POLICY_SAS or expired(credential, now=scene.at) is not None:
        return None
    return named_policy(credential) if _attribute(credential, scene).key_name is not None else None


def weigh(
    finding: Finding,
    scene: Scene,
    *,
    known: Known,
    retired: RetiredKeys,
    describe: Callable[[AccountFacts, Lever, str], tuple[str, ...]],
    settings: Settings,
    now: datetime,
) -> Weighed:
    """Return what the arithmetic, the plan and the rule table make of `finding`.

    `describe` says who breaks when a lever is pulled on a target. Raises ValueError for an unreadable report, which
    never waits for an account.
    """
    proposals = Proposals(
        account=scene.account,
        keys=scene.keys,
        policies=scene.policies,
        last_revocation=max((p.at for p in scene.pulls if p.lever is Lever.DELEGATION_KEY), default=None),
        describe=describe,
        rules=settings.rule_table,
        tenant_id=settings.tenant_id,
        now=now,
    )
    if finding.evidence is not None:
        proposal = proposals.of_evidence(finding.evidence)
    elif finding.order is not None:
        proposal = proposals.of_order(finding.order, by=finding.reported_by, reason=finding.reason)
    elif finding.credential is not None:
        verdict = _verdict(finding.credential, scene, retired, now)
        proposal = proposals.of_leak(finding.credential, verdict, known.liveness)
    else:
        raise ValueError("an unreadable report never waits for an account")
    if proposal.plan is None:
        return Weighed(finding, proposal.verdict)
    decision = decide(
        proposal.plan,
        proposal.ground,
        tags=scene.account.tags,
        pulls=scene.pulls,
        approval=known.approval,
        settings=settings,
        now=now,
    )
    return Weighed(finding, proposal.verdict, proposal.plan, decision)


def _verdict(credential: Credential, scene: Scene, retired: RetiredKeys, now: datetime) -> Verdict:
    verdict = expired(credential, now=now) or _attribute(credential, scene)
    if verdict.reason is not Reason.NO_KEY_MATCHES:
        return verdict
    return _by_retired_key(credential, scene.account.name, retired) or _with_hint(verdict, scene)


def _attribute(credential: Credential, scene: Scene) -> Verdict:
    values = {name: key.value for name, key in scene.keys.items()}
    return attribute(credential, account=scene.account.name, keys=values)


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
    last = max((p for p in scene.pulls if p.lever is Lever.ACCOUNT_KEY), key=lambda pull: pull.at, default=None)
    if last is None or scene.at - last.at >= _RECENT:
        return verdict
    hint = f"Sasquash itself regenerated {last.target} at {last.at:%H:%M:%S} UTC: that key may have been behind it."
    return replace(verdict, detail=f"{verdict.detail} {hint}")
