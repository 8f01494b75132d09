"""What is thought about a finding while its account is locked: what is behind it, what would be done, may we.

Pure. What would be done is made in `decide/proposal`; this is where it meets what was read, and who decides.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.account import AccountFacts, AccountKey, PolicyReading
from shared.domain.decision.approval_policy import Decision, PastExecution, decide
from shared.domain.decision.attribution import Verdict, attribute, expired, named_policy
from shared.domain.decision.planner import Proposals
from shared.domain.decision.rules import RuleOutcome
from shared.domain.finding import Finding
from shared.domain.retired_keys import RetiredKeys
from shared.domain.revocation import Approval, Liveness, Plan, Reason
from shared.domain.target import ActionKind, InvalidTarget, PolicyTarget
from shared.sas import Credential, Kind
from shared.settings import Settings

_RECENT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Known:
    """What only the finding's own record says."""

    approval: Approval | None = None
    liveness: Liveness | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that was read under the lock. `policies` are by the text of their targets, those of `policy_of`."""

    account: AccountFacts
    keys: Mapping[str, AccountKey]
    waiting: tuple[Finding, ...]  # the finding that took the lock comes first
    executions: tuple[PastExecution, ...]
    at: datetime
    policies: Mapping[str, PolicyReading] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluation:
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
        return self.decision is not None and self.decision.outcome is RuleOutcome.ACT


def policy_of(finding: Finding, snapshot: Snapshot) -> PolicyTarget | None:
    """Return the stored access policy that must be read before `finding` can be weighed, None where none must.

    It is read only for an order, and for a token that arithmetic has proven: a forged one makes nobody look anywhere.
    """
    order, credential = finding.order, finding.credential
    if order is not None and order.action is ActionKind.STORED_POLICY:
        try:
            return PolicyTarget.parse(order.target)
        except InvalidTarget:
            return None
    if (
        credential is None
        or credential.kind is not Kind.POLICY_SAS
        or expired(credential, now=snapshot.at) is not None
    ):
        return None
    return named_policy(credential) if _attribute(credential, snapshot).key_name is not None else None


def evaluate(
    finding: Finding,
    snapshot: Snapshot,
    *,
    known: Known,
    retired: RetiredKeys,
    describe: Callable[[AccountFacts, ActionKind, str], tuple[str, ...]],
    settings: Settings,
    now: datetime,
) -> Evaluation:
    """Return what the arithmetic, the plan and the rule table make of `finding`.

    `describe` says who breaks when a lever is pulled on a target. Raises ValueError for an unreadable report, which
    never waits for an account.
    """
    proposals = Proposals(
        account=snapshot.account,
        keys=snapshot.keys,
        policies=snapshot.policies,
        last_revocation=max(
            (p.at for p in snapshot.executions if p.action is ActionKind.DELEGATION_KEY), default=None
        ),
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
        verdict = _verdict(finding.credential, snapshot, retired, now)
        proposal = proposals.of_leak(finding.credential, verdict, known.liveness)
    else:
        raise ValueError("an unreadable report never waits for an account")
    if proposal.plan is None:
        return Evaluation(finding, proposal.verdict)
    decision = decide(
        proposal.plan,
        proposal.ground,
        tags=snapshot.account.tags,
        executions=snapshot.executions,
        approval=known.approval,
        settings=settings,
        now=now,
    )
    return Evaluation(finding, proposal.verdict, proposal.plan, decision)


def _verdict(credential: Credential, snapshot: Snapshot, retired: RetiredKeys, now: datetime) -> Verdict:
    verdict = expired(credential, now=now) or _attribute(credential, snapshot)
    if verdict.reason is not Reason.NO_KEY_MATCHES:
        return verdict
    return _by_retired_key(credential, snapshot.account.name, retired) or _with_hint(verdict, snapshot)


def _attribute(credential: Credential, snapshot: Snapshot) -> Verdict:
    values = {name: key.value for name, key in snapshot.keys.items()}
    return attribute(credential, account=snapshot.account.name, keys=values)


def _by_retired_key(credential: Credential, account: str, retired: RetiredKeys) -> Verdict | None:
    """Return the verdict on what a key had signed that we regenerated lately, None where none had."""
    key = retired.behind(credential, account=account)
    if key is None:
        return None
    when = f"{key.at:%H:%M:%S} UTC"
    detail = f"{key.name} of {account}, which is behind it, was regenerated at {when} for another leak."
    return Verdict(detail, key_name=key.name, key_sha256=key.sha256, reason=Reason.COVERED)


def _with_hint(verdict: Verdict, snapshot: Snapshot) -> Verdict:
    """Return a verdict of "no key matches" that names the rotation of ours that may be why."""
    last = max(
        (p for p in snapshot.executions if p.action is ActionKind.ACCOUNT_KEY),
        key=lambda execution: execution.at,
        default=None,
    )
    if last is None or snapshot.at - last.at >= _RECENT:
        return verdict
    hint = f"Sasquash itself regenerated {last.target} at {last.at:%H:%M:%S} UTC: that key may have been behind it."
    return replace(verdict, detail=f"{verdict.detail} {hint}")
