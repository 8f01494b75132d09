"""Filters of the table service, parsed into predicates on an entity.

Source: "Querying tables and entities" and "Supported comparison operators" (REST, Table service).
"""

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from local.memory.errors import ServiceError

type Test = Callable[[Mapping[str, Any]], bool]

_TOKEN = re.compile(
    r"\s*(?:(?P<typed>datetime|guid|X|binary)?'(?P<text>(?:[^']|'')*)'"
    r"|(?P<number>-?\d+(?:\.\d+)?)(?P<long>L)?"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<mark>[()]))"
)
_COMPARISONS = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def parse(text: str) -> Test:
    """Return the predicate of a filter. Raises ServiceError 400 InvalidInput."""
    tokens = _tokens(text)
    test, rest = _either(tokens)
    if rest:
        raise _invalid()
    return test


def moment(text: str) -> datetime:
    """Parse an Edm.DateTime, cut to microseconds."""
    cut = re.sub(r"(\.\d{6})\d+", r"\1", text)
    parsed = datetime.fromisoformat(cut)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def partition_of(text: str) -> str | None:
    """Return the only partition that a filter can match; None if there can be several."""
    match = re.match(r"\(?PartitionKey eq '((?:[^']|'')*)'\)?(?: and |$)", text)
    return match[1].replace("''", "'") if match and " or " not in text else None


def _tokens(text: str) -> list[tuple[str, Any]]:
    tokens: list[tuple[str, Any]] = []
    position = 0
    stripped = text.rstrip()
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if match is None:
            raise _invalid()
        position = match.end()
        if match["text"] is not None:
            value: Any = match["text"].replace("''", "'")
            tokens.append(("value", moment(value) if match["typed"] == "datetime" else value))
        elif match["number"] is not None:
            tokens.append(("value", float(match["number"]) if "." in match["number"] else int(match["number"])))
        elif match["word"] in ("true", "false"):
            tokens.append(("value", match["word"] == "true"))
        elif match["word"] is not None:
            tokens.append(("word", match["word"]))
        else:
            tokens.append(("mark", match["mark"]))
    return tokens


def _either(tokens: list[tuple[str, Any]]) -> tuple[Test, list[tuple[str, Any]]]:
    test, rest = _both(tokens)
    while rest and rest[0] == ("word", "or"):
        other, rest = _both(rest[1:])
        test = _any_of(test, other)
    return test, rest


def _both(tokens: list[tuple[str, Any]]) -> tuple[Test, list[tuple[str, Any]]]:
    test, rest = _one(tokens)
    while rest and rest[0] == ("word", "and"):
        other, rest = _one(rest[1:])
        test = _all_of(test, other)
    return test, rest


def _one(tokens: list[tuple[str, Any]]) -> tuple[Test, list[tuple[str, Any]]]:
    if tokens and tokens[0] == ("word", "not"):
        test, rest = _one(tokens[1:])
        return (lambda entity: not test(entity)), rest
    if tokens and tokens[0] == ("mark", "("):
        test, rest = _either(tokens[1:])
        if not rest or rest[0] != ("mark", ")"):
            raise _invalid()
        return test, rest[1:]
    if len(tokens) < 3:
        raise _invalid()
    (kind, name), (_, compare), (value_kind, value) = tokens[:3]
    if kind != "word" or compare not in _COMPARISONS or value_kind != "value":
        raise _invalid()
    return _compared(name, _COMPARISONS[compare], value), tokens[3:]


def _compared(name: str, compare: Callable[[Any, Any], bool], value: Any) -> Test:
    def test(entity: Mapping[str, Any]) -> bool:
        held = entity.get(name)
        if held is None:
            return False  # no comparison matches a missing property
        if isinstance(value, datetime):
            held = moment(held)
        return type(held) is type(value) and compare(held, value)

    return test


def _any_of(one: Test, other: Test) -> Test:
    return lambda entity: one(entity) or other(entity)


def _all_of(one: Test, other: Test) -> Test:
    return lambda entity: one(entity) and other(entity)


def _invalid() -> ServiceError:
    return ServiceError(400, "InvalidInput", "One of the request inputs is not valid: the filter.")
