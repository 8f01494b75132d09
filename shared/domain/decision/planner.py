"""What would be done about a leak or an order: the smallest lever, or what a rule puts in its place.

Pure. Whether it may be done without a person is for `policy` to say.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain import action_text
from shared.domain.account import AccountFacts, AccountKey, PolicyReading, PolicyState, Removal
from shared.domain.alert import AlertEvidence
from shared.domain.caller import Caller
from shared.domain.decision import plan as plans
from shared.domain.decision import user_delegation
from shared.domain.decision.attribution import Verdict, dormant, named_policy, without_policy_name
from shared.domain.decision.effective_permissions import as_granted
from shared.domain.decision.rules import Rule, first_that_holds
from shared.domain.finding import Order
from shared.domain.revocation import Liveness, Plan, Reason
from shared.domain.target import DELEGATION_KEYS, ActionKind, InvalidTarget, Lockdown, check_target
from shared.sas import Credential, Kind

_CLOCK_SKEW = timedelta(minutes=1)  # between ARM's clock and the alert's


@dataclass(frozen=True, slots=True)
class Proposal:
    """A verdict, the plan where there is one, and its ground: the rule that applies, or why no rule may decide."""

    verdict: Verdict
    plan: Plan | None = None
    ground: Rule | str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposals:
    """Makes plans for one account, from what was read of it.

    `policies` are by the text of their targets. `last_revocation` is when we last revoked the account's user
    delegation keys. `describe` says who breaks when a lever is pulled on a target.
    """

    account: AccountFacts
    keys: Mapping[str, AccountKey]
    policies: Mapping[str, PolicyReading]
    last_revocation: datetime | None
    describe: Callable[[AccountFacts, ActionKind, str], tuple[str, ...]]
    rules: tuple[Rule, ...]
    tenant_id: str
    now: datetime

    def of_leak(self, credential: Credential, verdict: Verdict, liveness: Liveness | None) -> Proposal:
        """Return what to do about a leak, by the verdict on who signed it."""
        match verdict.action:
            case ActionKind.ACCOUNT_KEY:
                return self._of_key(credential, verdict)
            case ActionKind.STORED_POLICY:
                return self._of_policy(credential, verdict)
            case ActionKind.DELEGATION_KEY:
                return self._of_delegation(credential, verdict, liveness)
            case _:
                return Proposal(verdict)

    def of_order(self, order: Order, *, by: Caller | None, reason: str) -> Proposal:
        """Return the plan that a person ordered. It awaits a second one, whatever the rules say."""
        said = f"Ordered{f' by {by}' if by is not None else ''}: {reason or 'no reason was given'}."
        try:
            check_target(order.action, order.target)
        except InvalidTarget as error:
            return Proposal(Verdict(f"{said} It can't be carried out: {error}.", reason=Reason.PATH_LOST))
        verdict = Verdict(said, action=order.action)
        if order.action is ActionKind.STORED_POLICY:
            return self._of_policy_order(verdict, order)
        return self._ordered(verdict, order, self._version(order))

    def of_evidence(self, evidence: AlertEvidence) -> Proposal:
        """Return the plan that an alert asks for, which only a person can decide on: it proves nothing.

        A key that was made after the token had been seen cannot have signed it.
        """
        said = (
            f"{evidence.title}: seen at {evidence.seen_at:%Y-%m-%d %H:%M} UTC, signed with {evidence.key}, it says."
        )
        key = self.keys[evidence.key]
        if key.created is not None and key.created > evidence.seen_at + _CLOCK_SKEW:
            detail = (
                f"{said} That key of {self.account.name} was regenerated at {key.created:%Y-%m-%d %H:%M} UTC: what "
                "the one before had signed is dead."
            )
            return Proposal(Verdict(detail, reason=Reason.COVERED))
        verdict = Verdict(said, action=ActionKind.ACCOUNT_KEY)
        reason = (
            f"{said} Nobody has the token, so no arithmetic can confirm it; regenerating that key of "
            f"{self.account.name} would end it."
        )
        plan = self._plan(ActionKind.ACCOUNT_KEY, evidence.key, version=key.sha256, reason=reason)
        return Proposal(verdict, plan, "an alert is evidence and no proof")

    def _of_key(self, credential: Credential, verdict: Verdict) -> Proposal:
        rule = self._rule(credential)
        what = "The leaked text is" if credential.kind is Kind.ACCOUNT_KEY else "The leaked token was signed by"
        key = f"{verdict.key_name} of {self.account.name}"
        reason = f"{what} {key}, and regenerating that key is the only way to revoke it at once."
        return Proposal(verdict, self._lockdown_by(rule) or self._key_plan(verdict, reason), rule)

    def _of_policy(self, credential: Credential, verdict: Verdict) -> Proposal:
        target = named_policy(credential)
        if target is None:
            return Proposal(without_policy_name(verdict))
        reading = self.policies.get(str(target))
        if reading is None:
            return Proposal(verdict)
        policy = action_text.policy(str(target))
        signed = f"The leaked token was signed by {verdict.key_name} of {self.account.name} under {policy}"
        if reading.state is PolicyState.UNREACHABLE:
            ground = (
                f"{policy} can't be reached: {reading.detail.rstrip('.')}; what is left is to rotate "
                f"{verdict.key_name}, which ends everything else that the key signed, too"
            )
            reason = f"{signed}, which can't be reached from here, and regenerating that key revokes the token, too."
            return Proposal(verdict, self._key_plan(verdict, reason), ground)
        rule = self._rule(as_granted(credential, reading))
        asleep = dormant(verdict, reading, until=credential.expires)
        if asleep is not None:
            return Proposal(asleep, self._tombstone(reading, signed), rule)
        reason = f"{signed}, and ending that policy revokes it without touching the key."
        ending = self._plan(ActionKind.STORED_POLICY, str(target), version=reading.version, reason=reason)
        return Proposal(verdict, self._lockdown_by(rule) or ending, rule)

    def _of_delegation(self, credential: Credential, verdict: Verdict, liveness: Liveness | None) -> Proposal:
        granted = as_granted(credential)
        rule = self._rule(granted)
        doubt = user_delegation.doubt(
            credential, liveness=liveness, last_execution=self.last_revocation, tenant_id=self.tenant_id
        )
        end = f"{granted.expires:%Y-%m-%d %H:%M} UTC" if granted.expires is not None else "an end that can't be read"
        reason = (
            f"Only revoking the user delegation keys of {self.account.name} ends the leaked token at once. It ends "
            f"every user delegation SAS of the account; left alone, the leaked one would live until {end}."
        )
        version = user_delegation.version(credential, last_execution=self.last_revocation)
        revoking = self._plan(ActionKind.DELEGATION_KEY, DELEGATION_KEYS, version=version, reason=reason)
        if liveness is not None:
            verdict = replace(verdict, detail=f"{verdict.detail} {liveness.said}")
        return Proposal(verdict, self._lockdown_by(rule) or revoking, doubt or rule)

    def _of_policy_order(self, verdict: Verdict, order: Order) -> Proposal:
        reading = self.policies.get(order.target)
        if reading is None:
            return Proposal(verdict)
        if reading.state is PolicyState.UNREACHABLE:
            detail = (
                f"{verdict.detail} The policy can't be reached: {reading.detail} Order the rotation of the key that "
                "signs its tokens instead, or end the policy by hand."
            )
            return Proposal(Verdict(detail, reason=Reason.BLOCKED))
        asleep = dormant(verdict, reading, until=None)
        return Proposal(asleep) if asleep is not None else self._ordered(verdict, order, reading.version)

    def _version(self, order: Order) -> str:
        """Return what an order binds to, but for one of a policy, which has to be looked at first."""
        if order.action is ActionKind.ACCOUNT_KEY:
            return self.keys[order.target].sha256
        if order.action is ActionKind.LOCKDOWN:
            return plans.lockdown_version(self.account, Lockdown(order.target))
        return user_delegation.version(None, last_execution=self.last_revocation)

    def _ordered(self, verdict: Verdict, order: Order, version: str) -> Proposal:
        plan = self._plan(order.action, order.target, version=version, reason=verdict.detail)
        return Proposal(verdict, plan, "an order needs a second person")

    def _rule(self, granted: Credential) -> Rule:
        return first_that_holds(self.rules, granted, account=self.account.name, now=self.now)

    def _plan(self, action: ActionKind, target: str, *, version: str, reason: str) -> Plan:
        impact = self.describe(self.account, action, target)
        return plans.make(self.account, action=action, target=target, version=version, reason=reason, impact=impact)

    def _key_plan(self, verdict: Verdict, reason: str) -> Plan:
        """Return the plan to regenerate the one key that is behind the leak; the other key is never touched."""
        if verdict.key_name is None or verdict.key_sha256 is None:
            raise ValueError("this plan needs a verdict that names a key")
        return self._plan(ActionKind.ACCOUNT_KEY, verdict.key_name, version=verdict.key_sha256, reason=reason)

    def _lockdown_by(self, rule: Rule) -> Plan | None:
        """Return the lockdown that the rule answers with, None where it leaves it at the smallest lever."""
        kind = rule.remedy.lockdown
        if kind is None:
            return None
        reason = f"Rule {rule.name} answers this leak with a lockdown, because {rule.why}."
        version = plans.lockdown_version(self.account, kind)
        return self._plan(ActionKind.LOCKDOWN, kind.value, version=version, reason=reason)

    def _tombstone(self, reading: PolicyReading, signed: str) -> Plan | None:
        """Return the plan to keep a policy that is gone from coming back, unless a tag wants nothing left of it."""
        if reading.state is not PolicyState.GONE or self.account.removal is Removal.DELETE:
            return None
        return plans.make(
            self.account,
            action=ActionKind.STORED_POLICY,
            target=str(reading.target),
            version=reading.version,
            reason=f"{signed}, which is not there: a tombstone keeps whoever makes it anew from reviving the token.",
            impact=(),
            gone=True,
        )
