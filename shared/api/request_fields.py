"""Checks the fields of a request, each against its own rule.

A rule's description completes "`field` must be …". That is the whole message: no value is repeated.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints
from urllib.parse import parse_qsl

import msgspec

from shared.errors import InvalidRequest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


_NUMBER = re.compile(r"[1-9][0-9]{0,2}")


def rule(must_be: str, **constraints: Any) -> msgspec.Meta:
    """Return a rule: `must_be` is its description."""
    return msgspec.Meta(description=must_be, **constraints)


AccountName = Annotated[str, rule("a storage account's name", pattern=r"^[a-z0-9]{3,24}\Z")]
PageLimit = Annotated[int, rule("a whole number from 1 to 100", ge=1, le=100)]


def parameters(url: str) -> dict[str, Any]:
    """Return the parameters of a query. Raises InvalidRequest for one that occurs twice.

    The host's own parameters can't be used: they lack empty values, and join repeated ones with commas.
    """
    pairs = parse_qsl(url.partition("?")[2], keep_blank_values=True)
    given: dict[str, Any] = dict(pairs)
    if len(given) != len(pairs):
        raise InvalidRequest("The query has a duplicate parameter.")
    return given


def with_numbers(given: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return the parameters with these as numbers, where each is a whole number from 1 to 999."""
    numbers = {name: int(given[name]) for name in names if _NUMBER.fullmatch(given.get(name, ""))}
    return {**given, **numbers}


def checked[T: DataclassInstance](given: Mapping[str, Any], kind: type[T]) -> T:
    """Return the `kind` that `given` describes. Raises InvalidRequest for the first field that breaks its rule."""
    known = [item.name for item in fields(kind)]
    if not given.keys() <= set(known):
        raise InvalidRequest(f"The body or query has a field that is not one of {_quoted(known)}.")
    required = [item.name for item in fields(kind) if item.default is MISSING]
    if not given.keys() >= set(required):
        raise InvalidRequest(f"These fields are required: {_quoted(required)}.")
    hints = get_type_hints(kind, include_extras=True)
    return kind(**{name: _value(name, given[name], hints[name]) for name in known if name in given})


def _value(name: str, value: object, hint: Any) -> object:
    try:
        return msgspec.convert(value, hint, strict=True)
    except msgspec.ValidationError:  # without a cause: it may contain the value
        annotated = hint if get_origin(hint) is Annotated else get_args(hint)[0]  # of `… | None`
        [rule] = annotated.__metadata__
        raise InvalidRequest(f"`{name}` must be {rule.description}.") from None


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
