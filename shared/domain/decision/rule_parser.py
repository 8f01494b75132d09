"""Reads a rule table from its text, the setting SASQUASH_RULES, and refuses one that can't be meant. Pure.

A table is a JSON list of objects: `name`, `when` (conditions, all optional), `then`, `with` (optional), `why`.
"""

import json
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from itertools import combinations
from typing import Any

from shared.domain.decision.rules import Conditions, Remedy, Rule, RuleOutcome
from shared.domain.target import ActionKind
from shared.sas import Kind, Service, Severity

_NAME = re.compile(r"[a-z0-9](?:-?[a-z0-9]){0,39}")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_LONGEST_WHY = 200
_MOST_HOURS = 24 * 365 * 100


def parse(text: str) -> tuple[Rule, ...]:
    """Return the rules in `text`. Raises ValueError, one line that completes "SASQUASH_RULES: it …"."""
    try:
        items = json.loads(text, object_pairs_hook=_without_repetition)
    except _RepeatedFieldError:
        raise ValueError("names a field twice in one object") from None
    except (ValueError, RecursionError):
        raise ValueError("must be JSON") from None
    if not isinstance(items, list) or not items:
        raise ValueError("must be a JSON list of one or more rules")
    rules = tuple(_rule(item, str(number)) for number, item in enumerate(items, 1))
    _check(rules)
    return rules


class _RepeatedFieldError(Exception):
    pass


def _without_repetition(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _RepeatedFieldError
    return fields


def _rule(item: object, number: str) -> Rule:
    name = item.get("name") if isinstance(item, dict) else None
    label = f"'{name}'" if isinstance(name, str) and _NAME.fullmatch(name) else number
    rule = _fields(item, rule=label, where="", parsers=_RULE, required=("name", "then", "why"))
    when = _fields(rule.pop("when", {}), rule=label, where="when.", parsers=_CONDITIONS, required=())
    return Rule(**rule, when=Conditions(**when))


def _fields(
    item: object, *, rule: str, where: str, parsers: Mapping[str, Callable[[Any], Any]], required: tuple[str, ...]
) -> dict[str, Any]:
    """Return the parsed fields of one object, by the names that Rule and Conditions have for them."""
    if not isinstance(item, dict):
        raise _wrong(rule, where.rstrip(".") or "it", "must be an object")
    missing = next((name for name in required if name not in item), None)
    if missing is not None:
        raise _wrong(rule, missing, "is missing")
    values: dict[str, Any] = {}
    for name, value in item.items():
        if name not in parsers:
            raise _wrong(rule, f"{where}{ascii(name)[1:-1]:.60}", f"is no field: known are {', '.join(parsers)}")
        try:
            values["remedy" if name == "with" else name] = parsers[name](value)  # "with" can't be a name in Python
        except ValueError as error:
            raise _wrong(rule, f"{where}{name}", str(error)) from None
    return values


def _wrong(rule: str, field: str, what: str) -> ValueError:
    return ValueError(f"is wrong in rule {rule}: {field} {what}")


def _check(rules: tuple[Rule, ...]) -> None:
    """Raise ValueError for a table that leaves a leak undecided, or that says what can't be meant."""
    for rule in rules:
        _check_remedy(rule)
    for earlier, later in combinations(rules, 2):
        if earlier.name == later.name:
            raise _wrong(f"'{later.name}'", "name", "is another rule's, too")
        if later.when.imply(earlier.when):
            raise _wrong(f"'{later.name}'", "when", f"is never reached: rule '{earlier.name}' applies before it")
    if not Conditions().imply(rules[-1].when):
        raise _wrong(f"'{rules[-1].name}'", "when", "must be empty: the last rule decides on whatever is left")


def _check_remedy(rule: Rule) -> None:
    """A lockdown revokes nothing: a leaked key would be a leaked key again as soon as it is undone.

    And where an action does not stop a kind of leak at all, such a rule would do harm for nothing.
    """
    block = rule.remedy.block
    if block is None:
        return
    if Kind.ACCOUNT_KEY in rule.when.kinds:
        what = "a lockdown" if block.action is ActionKind.LOCKDOWN else "that action"
        raise _wrong(f"'{rule.name}'", "with", f"needs when.kinds without account_key: {what} revokes nothing")
    missed = sorted(block.misses & rule.when.kinds)
    if missed:
        raise _wrong(f"'{rule.name}'", "with", f"needs when.kinds without {missed[0]}, which it does not stop")


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError("must be 1 to 40 lower-case letters, digits and single hyphens")
    return value


def _why(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_WHY or not value.isprintable():
        raise ValueError(f"must be a text of 1 to {_LONGEST_WHY} printable characters")
    return value


def _object(value: object) -> object:
    return value  # its fields are parsed with the rule's name at hand


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 -- for the reader of a setting, as all the others
    return value


def _hours(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_HOURS:
        raise ValueError(f"must be a whole number from 0 to {_MOST_HOURS}")
    return value


def _one_of[T: StrEnum](choices: list[T]) -> Callable[[object], T]:
    def parse_one(value: object) -> T:
        found = next((choice for choice in choices if choice.value == value), None)
        if found is None:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return found

    return parse_one


def _some_of[T: StrEnum](choices: list[T]) -> Callable[[object], frozenset[T]]:
    def parse_some(value: object) -> frozenset[T]:
        if not isinstance(value, list) or not value or not all(item in choices for item in value):
            raise ValueError(f"must be a list of one or more of {', '.join(choices)}")
        return frozenset(choice for choice in choices if choice in value)

    return parse_some


def _accounts(value: object) -> frozenset[str]:
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(n, str) and _ACCOUNT.fullmatch(n) for n in value)
    ):
        raise ValueError("must be a list of one or more names of storage accounts")
    return frozenset(value)


_RULE: Mapping[str, Callable[[Any], Any]] = {
    "name": _name,
    "when": _object,
    "then": _one_of(list(RuleOutcome)),
    "with": _one_of(list(Remedy)),
    "why": _why,
}
_CONDITIONS: Mapping[str, Callable[[Any], Any]] = {
    "kinds": _some_of(list(Kind)),
    "services": _some_of([service for service in Service if service is not Service.MULTIPLE]),
    "writes": _flag,
    "permissions_unknown": _flag,
    "lives_longer_than_hours": _hours,
    "severity_at_least": _one_of(list(Severity)),
    "accounts": _accounts,
}
