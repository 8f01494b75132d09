"""The evaluation of a finding while its account is locked: who signed it, what would be done, who decides.

Pure. `planner` makes the plan, `approval_policy` says who decides on it.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.account import PolicyReading
from shared.domain.approval import Approval
from shared.domain.decision.approval_policy import Decision, decide
from shared.domain.decision.attribution import Verdict, all_expired, attribute_any, expired, named_policy
from shared.domain.decision.people import quorum
from shared.domain.decision.planner import Proposals
from shared.domain.decision.policy import DecisionPolicy
from shared.domain.decision.revoked_elsewhere import by_key, by_policy
from shared.domain.decision.rules import RuleOutcome
from shared.domain.decision.snapshot import Snapshot
from shared.domain.execution import Execution, Liveness, Plan
from shared.domain.finding import Finding
from shared.domain.retired_keys import RetiredKeys
from shared.domain.signer import Signer
from shared.domain.states import Reason
from shared.domain.target import ActionKind, InvalidTarget, PolicyTarget
from shared.sas import Credential, Kind

_RECENT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Known:
    """What only the finding's own record says."""

    approvals: tuple[Approval, ...] = ()
    liveness: Liveness | None = None
    signer: Signer | None = None
    ineffective: ActionKind | None = None  # an action that Azure did not enforce for this leak


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluated finding: the verdict, and if there is something to do, the plan and who decides.

    Its credential is the reading that a key signed; where none is, the one that its report gives.
    A verdict with a reason ends the finding; the plan that may come with it is the tombstone for a policy that is
    gone. With `found`, somebody else has revoked it. With none of them it is undecided: its stored access policy was
    not read.
    """

    finding: Finding
    verdict: Verdict
    plan: Plan | None = None
    decision: Decision | None = None
    found: Execution | None = None

    @property
    def acts(self) -> bool:
        """Whether the plan may be executed now."""
        return self.decision is not None and self.decision.outcome is RuleOutcome.ACT


def policy_of(finding: Finding, snapshot: Snapshot) -> PolicyTarget | None:
    """Return the stored access policy that must be read before `finding` can be evaluated, None where none must.

    It is read only for an order, and for a token whose signature was verified: a forged one causes no request.
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
        or all_expired(finding.readings, now=snapshot.at) is not None
    ):
        return None
    signed, verdict = _attribute(finding, snapshot)
    return named_policy(signed) if verdict.key_name is not None else None


def _reading(finding: Finding, snapshot: Snapshot) -> PolicyReading | None:
    return snapshot.policies.get(str(policy_of(finding, snapshot)))


def evaluate(
    finding: Finding,
    snapshot: Snapshot,
    *,
    known: Known,
    retired: RetiredKeys,
    policy: DecisionPolicy,
    now: datetime,
) -> Evaluation:
    """Return the verdict on `finding`, the plan and who decides.

    Raises ValueError for an unreadable report, which never waits for an account.
    """
    proposals = Proposals(snapshot, policy, now)
    if finding.evidence is not None:
        proposal = proposals.of_evidence(finding.evidence)
    elif finding.order is not None:
        proposal = proposals.of_order(finding.order, by=finding.reported_by, reason=finding.reason)
    elif finding.credential is not None:
        signed, verdict = _verdict(finding, finding.credential, snapshot, retired, now)
        finding = finding.read_as(signed)
        verdict, found = by_key(known.signer, verdict, snapshot)
        if found is not None:
            return Evaluation(finding, verdict, found=found)
        proposal = proposals.of_leak(signed, verdict, known.liveness, without=known.ineffective)
        found = by_policy(known.signer, proposal.verdict, _reading(finding, snapshot), snapshot)
        if found is not None:
            return Evaluation(finding, replace(verdict, action=None), found=found)
    else:
        raise ValueError("an unreadable report never waits for an account")
    if proposal.plan is None:
        return Evaluation(finding, proposal.verdict)
    accepted = known.liveness is not None and known.liveness.alive is True
    decision = decide(
        proposal.plan,
        proposal.ground,
        tags=snapshot.account.tags,
        executions=snapshot.executions,
        approvals=known.approvals,
        quorum=quorum(finding, proven=proposal.verdict.key_name is not None or accepted),
        policy=policy,
        now=now,
    )
    return Evaluation(finding, proposal.verdict, proposal.plan, decision)


def _verdict(
    finding: Finding, credential: Credential, snapshot: Snapshot, retired: RetiredKeys, now: datetime
) -> tuple[Credential, Verdict]:
    """Return the reading of the finding that counts, and the verdict on it: `credential` if no key signed any."""
    ended = all_expired(finding.readings, now=now)
    if ended is not None:
        return credential, ended
    signed, verdict = _attribute(finding, snapshot)
    if verdict.reason is None:
        return signed, expired(signed, now=now) or verdict
    covered = _by_retired_key(finding, snapshot.account.name, retired)
    return covered or (credential, _with_hint(verdict, snapshot, reported_at=finding.detected_at))


def _attribute(finding: Finding, snapshot: Snapshot) -> tuple[Credential, Verdict]:
    values = {name: key.value for name, key in snapshot.keys.items()}
    return attribute_any(finding.readings, account=snapshot.account.name, keys=values)


def _by_retired_key(finding: Finding, account: str, retired: RetiredKeys) -> tuple[Credential, Verdict] | None:
    """Return the reading that a recently regenerated key had signed, and the verdict on it; None where none had."""
    for credential in finding.readings:
        key = retired.behind(credential, account=account)
        if key is None:
            continue
        when = f"{key.at:%H:%M:%S} UTC"
        detail = f"{key.name} of {account}, which had signed it, was regenerated at {when} for another leak."
        return credential, Verdict(detail, key_name=key.name, key_sha256=key.sha256, reason=Reason.COVERED)
    return None


def _with_hint(verdict: Verdict, snapshot: Snapshot, *, reported_at: datetime) -> Verdict:
    """Return the verdict; one of "no key matches" names the rotation that may be the reason."""
    if verdict.reason is not Reason.NO_KEY_MATCHES:
        return verdict
    last = snapshot.last(ActionKind.ACCOUNT_KEY)
    if last is not None and snapshot.at - last.at < _RECENT:
        when = f"Sasquash itself regenerated {last.target} at {last.at:%H:%M:%S} UTC"
        return replace(verdict, detail=f"{verdict.detail} {when}: the previous key may have signed it.")
    for name, key in sorted(snapshot.keys.items()):
        if key.created is not None and key.created > reported_at:
            when = f"{name} was regenerated at {key.created:%Y-%m-%d %H:%M} UTC, after the leak was found"
            hint = f"{when}: if the previous key had signed it, it is revoked."
            return replace(verdict, detail=f"{verdict.detail} {hint}")
    return verdict
