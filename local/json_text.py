"""JSON as the stand-ins read it: what a service could not read or answer is refused before anything is done with it.

Python's parser takes more than RFC 8259 allows (NaN, Infinity), and values that cannot be walked or written again:
documents nested deeper than the interpreter's stack, and halves of surrogate pairs, which have no UTF-8 form.
"""

import json
import math
from collections.abc import Iterable
from typing import Any, NoReturn

# Azure documents no limit, and .NET's readers stop at 64. Ours is deeper, so that the app sees what might pass.
DEEPEST = 256


class InvalidJson(ValueError):
    """Why a text is no JSON that can be used; the words hold no part of it."""


def parse(raw: bytes | bytearray, *, any_text: bool = False) -> Any:
    """The JSON value in `raw`. Raises InvalidJson.

    `any_text` lets lone surrogates through, for who passes the value on without reading it.
    """
    try:
        value = json.loads(raw, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # also what is no UTF-8
        raise InvalidJson("it is not valid JSON") from None
    if not _is_shallow(value):
        raise _too_deep()
    if not any_text and not _is_unicode(value):
        raise InvalidJson("its text has half of a surrogate pair")
    return value


def _refuse(_constant: str) -> NoReturn:
    raise ValueError


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def _is_shallow(value: object) -> bool:
    """Whether `value` is nested at most DEEPEST deep, found level by level: recursion is what must be avoided."""
    level = [value]
    for _ in range(DEEPEST + 1):
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


def _too_deep() -> InvalidJson:
    return InvalidJson(f"it is nested more than {DEEPEST} deep")
