"""What would be done about a leak or an order: the smallest action, or the lockdown that a rule asks for.

Pure. `approval_policy` says whether it may be done without a person.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.account import AccountFacts, PolicyReading, PolicyState, Removal
from shared.domain.alert import AlertEvidence
from shared.domain.caller import Caller
from shared.domain.decision import plan as plans
from shared.domain.decision import user_delegation
from shared.domain.decision.action_spec import ActionSpec
from shared.domain.decision.attribution import Verdict, dormant, named_policy, without_policy_name
from shared.domain.decision.effective_permissions import as_granted
from shared.domain.decision.policy import DecisionPolicy
from shared.domain.decision.rules import Rule, first_that_holds
from shared.domain.decision.snapshot import Snapshot
from shared.domain.execution import Liveness, Plan
from shared.domain.finding import Order
from shared.domain.states import Reason
from shared.domain.target import BLOCKS_WHILE_IN_EFFECT, DELEGATION_KEYS, ActionKind, InvalidTarget
from shared.domain.text import Foreign
from shared.sas import Credential, Kind

_CLOCK_SKEW = timedelta(minutes=1)  # between ARM's clock and the alert's


@dataclass(frozen=True, slots=True)
class Proposal:
    """A verdict, the plan where there is one, and its ground: the rule that applies, or why no rule may decide."""

    verdict: Verdict
    plan: Plan | None = None
    ground: Rule | str = ""


@dataclass(frozen=True, slots=True)
class Proposals:
    """Makes plans for one account, from what was read of it."""

    snapshot: Snapshot
    policy: DecisionPolicy
    now: datetime

    def of_leak(
        self,
        credential: Credential,
        verdict: Verdict,
        liveness: Liveness | None,
        *,
        without: ActionKind | None = None,
    ) -> Proposal:
        """Return what to do about a leak, by the verdict on who signed it. `without` names an action that failed."""
        match verdict.action:
            case ActionKind.ACCOUNT_KEY:
                return self._of_key(credential, verdict, without=without)
            case ActionKind.STORED_POLICY:
                return self._of_policy(credential, verdict)
            case ActionKind.DELEGATION_KEY:
                return self._of_delegation(credential, verdict, liveness)
            case _:
                return Proposal(verdict)

    def of_order(self, order: Order, *, by: Caller | None, reason: str) -> Proposal:
        """Return the plan that a caller ordered. It takes two people, whatever the rules say."""
        why = Foreign(reason or "no reason was given", limit=500)
        said = f"Ordered{f' by {by}' if by is not None else ''}: {why}."
        action = self.policy.actions[order.action]
        try:
            action.check_target(order.target)
        except InvalidTarget as error:
            return Proposal(Verdict(f"{said} It can't be executed: {error}.", reason=Reason.PATH_LOST))
        verdict = Verdict(said, action=order.action)
        if order.action is ActionKind.STORED_POLICY:
            return self._of_policy_order(verdict, order)
        target = self._settled(order.action, order.target)
        obstacle = action.obstacle(self._account, target, None)
        if obstacle:
            return Proposal(Verdict(f"{said} {obstacle}", reason=Reason.BLOCKED))
        return self._ordered(verdict, replace(order, target=target), action.version(self.snapshot, target))

    def of_evidence(self, evidence: AlertEvidence) -> Proposal:
        """Return the plan that an alert asks for. It requires approval, because an alert proves nothing.

        A key that was made after the token had been seen cannot have signed it.
        """
        said = (
            f"{Foreign(evidence.title)}: according to the alert, seen at {evidence.seen_at:%Y-%m-%d %H:%M} UTC and "
            f"signed with {evidence.key}."
        )
        key = self.snapshot.keys[evidence.key]
        if key.created is not None and key.created > evidence.seen_at + _CLOCK_SKEW:
            detail = (
                f"{said} That key of {self._account.name} was regenerated at {key.created:%Y-%m-%d %H:%M} UTC, which "
                "revoked everything that the previous key had signed."
            )
            return Proposal(Verdict(detail, reason=Reason.COVERED))
        verdict = Verdict(said, action=ActionKind.ACCOUNT_KEY)
        reason = (
            f"{said} The token itself is not known, so its signature can't be verified; regenerating that key of "
            f"{self._account.name} would revoke it."
        )
        plan = self._order_plan(ActionKind.ACCOUNT_KEY, evidence.key, version=key.sha256, reason=reason)
        return Proposal(verdict, plan, "an alert is evidence, but does not prove anything")

    def _of_key(self, credential: Credential, verdict: Verdict, *, without: ActionKind | None) -> Proposal:
        rule = self._rule(credential)
        what = "The leaked text is" if credential.kind is Kind.ACCOUNT_KEY else "The leaked token was signed by"
        key = f"{verdict.key_name} of {self._account.name}"
        reason = f"{what} {key}, and regenerating that key is the only way to revoke it at once."
        return self._answered(verdict, rule, credential, self._key_plan(verdict, reason), without=without)

    def _of_policy(self, credential: Credential, verdict: Verdict) -> Proposal:
        target = named_policy(credential)
        if target is None:
            return Proposal(without_policy_name(verdict))
        reading = self.snapshot.policies.get(str(target))
        if reading is None:
            return Proposal(verdict)
        policy = target.title
        signed = f"The leaked token was signed by {verdict.key_name} of {self._account.name} under {policy}"
        if reading.state is PolicyState.UNREACHABLE:
            ground = (
                f"{policy} can't be reached: {reading.detail.rstrip('.')}; the alternative is to rotate "
                f"{verdict.key_name}, which also revokes everything else that the key signed"
            )
            reason = f"{signed}, which can't be reached from here; regenerating that key also revokes the token."
            return Proposal(verdict, self._key_plan(verdict, reason), ground)
        rule = self._rule(as_granted(credential, reading))
        asleep = dormant(verdict, reading, until=credential.expires)
        if asleep is not None:
            return Proposal(asleep, self._tombstone(reading, signed), rule)
        reason = f"{signed}, and revoking that policy revokes the token without changing the key."
        ending = self._plan(ActionKind.STORED_POLICY, str(target), version=reading.version, reason=reason)
        return self._answered(verdict, rule, credential, ending)

    def _of_delegation(self, credential: Credential, verdict: Verdict, liveness: Liveness | None) -> Proposal:
        granted = as_granted(credential)
        rule = self._rule(granted)
        doubt = user_delegation.doubt(
            credential, liveness=liveness, last_execution=self._last_revocation, tenant_id=self.policy.tenant_id
        )
        end = f"{granted.expires:%Y-%m-%d %H:%M} UTC" if granted.expires is not None else "an end that can't be read"
        reason = (
            f"Only revoking the user delegation keys of {self._account.name} revokes the leaked token at once. It "
            f"revokes every user delegation SAS of the account. Otherwise, the leaked token is valid until {end}."
        )
        version = user_delegation.version(credential, last_execution=self._last_revocation)
        revoking = self._plan(ActionKind.DELEGATION_KEY, DELEGATION_KEYS, version=version, reason=reason)
        if liveness is not None:
            verdict = replace(verdict, detail=f"{verdict.detail} {liveness.said}")
        return self._answered(verdict, rule, credential, revoking, doubt=doubt)

    def _of_policy_order(self, verdict: Verdict, order: Order) -> Proposal:
        reading = self.snapshot.policies.get(order.target)
        if reading is None:
            return Proposal(verdict)
        if reading.state is PolicyState.UNREACHABLE:
            detail = (
                f"{verdict.detail} The policy can't be reached: {reading.detail} Order the rotation of the key that "
                "signs its tokens instead, or revoke the policy by hand."
            )
            return Proposal(Verdict(detail, reason=Reason.BLOCKED))
        asleep = dormant(verdict, reading, until=None)
        return Proposal(asleep) if asleep is not None else self._ordered(verdict, order, reading.version)

    def _ordered(self, verdict: Verdict, order: Order, version: str) -> Proposal:
        plan = self._order_plan(order.action, order.target, version=version, reason=verdict.detail)
        return Proposal(verdict, plan, "an order takes two people")

    @property
    def _account(self) -> AccountFacts:
        return self.snapshot.account

    @property
    def _last_revocation(self) -> datetime | None:
        last = self.snapshot.last(ActionKind.DELEGATION_KEY)
        return last.at if last is not None else None

    def _rule(self, granted: Credential) -> Rule:
        return first_that_holds(self.policy.rules, granted, account=self._account.name, now=self.now)

    def _plan(self, action: ActionKind, target: str, *, version: str, reason: str) -> Plan:
        return self._made(self.policy.actions[action], target, version=version, reason=reason)

    def _order_plan(self, action: ActionKind, target: str, *, version: str, reason: str) -> Plan:
        spec = self.policy.actions[action]
        beside = spec.beside(self.snapshot, target)
        return self._made(spec, target, version=version, reason=reason, beside=beside)

    def _made(self, spec: ActionSpec, target: str, *, version: str, reason: str, beside: str = "") -> Plan:
        """Return the plan, with what was read of its impact."""
        plan = plans.make(self._account, spec, target, version=version, reason=reason, beside=beside)
        read = spec.impact_read(self.snapshot, target)
        return replace(plan, impact=(*read, *plan.impact)) if read else plan

    def _key_plan(self, verdict: Verdict, reason: str) -> Plan:
        """Return the plan to regenerate the one key that signed the leak; the other key is never regenerated."""
        if verdict.key_name is None or verdict.key_sha256 is None:
            raise ValueError("this plan needs a verdict that names a key")
        return self._plan(ActionKind.ACCOUNT_KEY, verdict.key_name, version=verdict.key_sha256, reason=reason)

    def _answered(
        self,
        verdict: Verdict,
        rule: Rule,
        credential: Credential,
        smallest: Plan,
        *,
        doubt: str | None = None,
        without: ActionKind | None = None,
    ) -> Proposal:
        """Return the action that the rule asks for, where it stops the leak: else the smallest one, and why."""
        block = rule.remedy.block
        if block is None or block.action is without:
            return Proposal(verdict, smallest, doubt or rule)
        spec = self.policy.actions[block.action]
        target = self._settled(block.action, block.target or self.policy.limits[block.action])
        obstacle = spec.obstacle(self._account, target, credential)
        if obstacle:
            reason = f"{smallest.reason} Rule {rule.name} asks for another action, which can't be used: {obstacle}"
            return Proposal(verdict, replace(smallest, reason=reason), doubt or rule)
        name = BLOCKS_WHILE_IN_EFFECT[block.action]
        reason = f"Rule {rule.name} answers this leak with a {name}, because {rule.why}."
        plan = self._plan(block.action, target, version=spec.version(self.snapshot, target), reason=reason)
        return Proposal(verdict, plan, doubt or spec.doubt(self.snapshot, target) or rule)

    def _settled(self, action: ActionKind, target: str) -> str:
        """Return the target that a plan for `action` on this account has."""
        limit = self.policy.limits.get(action)
        return self.policy.actions[action].settled_target(target, self._account, limit=limit)

    def _tombstone(self, reading: PolicyReading, signed: str) -> Plan | None:
        """Return the plan to keep a policy that is gone from coming back, unless a tag asks for its deletion."""
        if reading.state is not PolicyState.GONE or self._account.removal is Removal.DELETE:
            return None
        reason = f"{signed}, which does not exist. A tombstone prevents that re-creating it re-enables the token."
        return plans.tombstone(self._account, reading.target, version=reading.version, reason=reason)
