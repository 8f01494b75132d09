"""A strict JSON parser for the stand-ins: refuses what a service could not process.

Python's parser accepts more than RFC 8259 allows (NaN, Infinity), and values that cannot be traversed or serialized:
documents nested deeper than the interpreter's stack, and lone surrogates, which have no UTF-8 form.
"""

import json
import math
from collections.abc import Iterable
from typing import Any, NoReturn

# Azure documents no limit, and .NET's parsers stop at 64. This one is deeper, so that the app meets such documents.
DEEPEST = 256


class InvalidJson(ValueError):
    """The text is not usable JSON. The message says why, without quoting the text."""


def parse(raw: bytes | bytearray, *, any_text: bool = False, deepest: int = DEEPEST) -> Any:
    """Return the JSON value in `raw`, nested at most `deepest` deep. Raises InvalidJson.

    `any_text` allows lone surrogates, for callers that forward the value.
    """
    try:
        value = json.loads(raw, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise _too_deep(deepest) from None
    except ValueError:  # includes invalid UTF-8
        raise InvalidJson("it is not valid JSON") from None
    if not _is_shallow(value, deepest):
        raise _too_deep(deepest)
    if not any_text and not _is_unicode(value):
        raise InvalidJson("its text contains a lone surrogate")
    return value


def _refuse(_constant: str) -> NoReturn:
    raise ValueError


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _is_shallow(value: object, deepest: int) -> bool:
    """Return whether `value` is nested at most `deepest` deep. Goes level by level, to avoid recursion."""
    level = [value]
    for _ in range(deepest + 1):
        level = [inner for outer in level for inner in _members(outer)]
        if not level:
            return True
    return False


def _members(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _is_unicode(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _too_deep(deepest: int) -> InvalidJson:
    return InvalidJson(f"it is nested more than {deepest} levels deep")
