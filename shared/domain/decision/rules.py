"""The rule table: which leaks are acted on without a person (design decision 3). Pure.

The first rule whose conditions all hold decides. `rule_table` reads a table from its text; docs/rules.md explains it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.target import ActionKind, Lockdown
from shared.sas import Credential, Kind, Service, Severity, assess, is_writable

_SEVERITIES = tuple(Severity)  # from the lowest


class RuleOutcome(StrEnum):
    """What may happen without a person: the action is executed, approval is requested, nothing is changed."""

    ACT = "act"
    ASK = "ask"
    OBSERVE = "observe"


class Remedy(StrEnum):
    """What a rule answers a leak with: the smallest action that revokes it, or one that blocks it."""

    SMALLEST = "smallest"
    LOCKDOWN_SHARED_KEY = "lockdown_shared_key"
    LOCKDOWN_NETWORK = "lockdown_network"
    SAS_EXPIRATION_BLOCK = "sas_expiration_block"

    @property
    def block(self) -> "Block | None":
        """The action that blocks the leak, None for the smallest one that revokes it."""
        return _BLOCKS.get(self)


@dataclass(frozen=True, slots=True)
class Block:
    """An action that blocks leaks while it is in effect. `target` is None where the settings say it.

    `misses` are the kinds of leaks that it does not keep out for good.
    """

    action: ActionKind
    target: str | None
    misses: frozenset[Kind]


_BLOCKS = {
    Remedy.LOCKDOWN_SHARED_KEY: Block(
        ActionKind.LOCKDOWN, Lockdown.SHARED_KEY, frozenset({Kind.ACCOUNT_KEY, Kind.USER_DELEGATION_SAS})
    ),
    Remedy.LOCKDOWN_NETWORK: Block(ActionKind.LOCKDOWN, Lockdown.NETWORK, frozenset({Kind.ACCOUNT_KEY})),
    Remedy.SAS_EXPIRATION_BLOCK: Block(
        ActionKind.SAS_EXPIRATION_BLOCK,
        None,
        frozenset({Kind.ACCOUNT_KEY, Kind.POLICY_SAS, Kind.USER_DELEGATION_SAS}),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What a rule asks of a leak. All conditions that are given must hold; without any, the rule always applies.

    `services` holds for a leak that opens at least one of them. A leak without a readable end, and an account key,
    are valid for longer than any number of hours.
    """

    kinds: frozenset[Kind] = frozenset(Kind)
    services: frozenset[Service] | None = None
    writes: bool | None = None
    permissions_unknown: bool | None = None
    lives_longer_than_hours: int | None = None
    severity_at_least: Severity = Severity.LOW
    accounts: frozenset[str] | None = None

    def hold(self, credential: Credential, *, account: str, now: datetime) -> bool:
        """Whether all hold for `credential`, whose rights and end are as it really has them (`grants`)."""
        return (
            credential.kind in self.kinds
            and (self.services is None or not self.services.isdisjoint(credential.services))
            and (self.writes is None or self.writes is is_writable(credential))
            and (self.permissions_unknown is None or self.permissions_unknown is _unknown(credential))
            and (self.lives_longer_than_hours is None or _lives_longer(credential, self.lives_longer_than_hours, now))
            and (self.accounts is None or account in self.accounts)
            and _at_least(assess(credential, now=now).severity, self.severity_at_least)
        )

    def imply(self, other: "Conditions") -> bool:
        """Whether `other` holds wherever these do: a rule with `other` before this one leaves it nothing."""
        mine, others = self.lives_longer_than_hours, other.lives_longer_than_hours
        return (
            self.kinds <= other.kinds
            and _within(self.services, other.services)
            and other.writes in (None, self.writes)
            and other.permissions_unknown in (None, self.permissions_unknown)
            and (others is None or (mine is not None and mine >= others))
            and _within(self.accounts, other.accounts)
            and _at_least(self.severity_at_least, other.severity_at_least)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of the table. `why` completes the sentence "because …" for the readers of the decision."""

    name: str
    when: Conditions
    then: RuleOutcome
    remedy: Remedy = Remedy.SMALLEST
    why: str


def first_that_holds(rules: Sequence[Rule], credential: Credential, *, account: str, now: datetime) -> Rule:
    """Return the rule that decides; a table's last one always holds."""
    return next(rule for rule in rules if rule.when.hold(credential, account=account, now=now))


def default_rules(*, act_alone_hours: int) -> tuple[Rule, ...]:
    """Return the table that applies where the settings have none.

    A five-minute read token that a web shop gives to every visitor is no reason to break production. Leaks that are
    never public on purpose, that can change data, or that are valid for long are acted on without a person.
    """
    return (
        Rule(
            name="account-key",
            when=Conditions(kinds=frozenset({Kind.ACCOUNT_KEY})),
            then=RuleOutcome.ACT,
            why="an account key opens everything in the account",
        ),
        Rule(
            name="account-wide",
            when=Conditions(kinds=frozenset({Kind.ACCOUNT_SAS})),
            then=RuleOutcome.ACT,
            why="an account SAS reaches every resource of its services",
        ),
        Rule(
            name="writes",
            when=Conditions(writes=True),
            then=RuleOutcome.ACT,
            why="the token can write or delete",
        ),
        Rule(
            name="lives-long",
            when=Conditions(lives_longer_than_hours=act_alone_hours),
            then=RuleOutcome.ACT,
            why="the token is valid for longer than the settings allow",
        ),
        Rule(
            name="small",
            when=Conditions(),
            then=RuleOutcome.ASK,
            why="the token only reads one resource and ends soon, while revoking it may break production",
        ),
    )


def _unknown(credential: Credential) -> bool:
    return credential.kind is not Kind.ACCOUNT_KEY and credential.permissions is None


def _lives_longer(credential: Credential, hours: int, now: datetime) -> bool:
    return credential.expires is None or credential.expires - now > timedelta(hours=hours)


def _at_least(severity: Severity, least: Severity) -> bool:
    return _SEVERITIES.index(severity) >= _SEVERITIES.index(least)


def _within[T](mine: frozenset[T] | None, others: frozenset[T] | None) -> bool:
    return others is None or (mine is not None and mine <= others)
