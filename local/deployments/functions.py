"""The functions of template expressions that depend on nothing but their arguments.

Source: learn.microsoft.com, "ARM template functions": array, comparison, lambda, logical, numeric, object, resource
and string functions. `guid` and `uniqueString` are stable and have Azure's form, not its values.
"""

import base64
import hashlib
import json
import uuid
from typing import Any

from local.deployments.expressions import Functions, Lazy, TemplateError, member

_NAMESPACE = uuid.UUID("11fb06fb-712d-4ddd-98c7-e71bbd588830")


def pure() -> dict[str, Any]:
    """Return the functions by name, in lower case."""
    eager = {
        "add": lambda a, b: a + b,
        "base64tostring": _base64_to_string,
        "concat": _concat,
        "contains": _contains,
        "createarray": lambda *items: list(items),
        "createobject": lambda *pairs: dict(zip(pairs[::2], pairs[1::2], strict=True)),
        "empty": lambda value: value is None or len(value) == 0,
        "equals": lambda a, b: a == b,
        "fail": _fail,
        "filter": lambda items, function: [item for item in items if function(item)],
        "first": lambda items: items[0] if items else "",
        "format": _format,
        "greater": lambda a, b: a > b,
        "guid": lambda *parts: str(uuid.uuid5(_NAMESPACE, "-".join(map(str, parts)))),
        "int": _int,
        "items": lambda value: [{"key": key, "value": value[key]} for key in sorted(value)],
        "indexof": lambda text, part: str(text).lower().find(str(part).lower()),
        "join": lambda items, delimiter: delimiter.join(items),
        "last": lambda items: items[-1] if items else "",
        "length": len,
        "less": lambda a, b: a < b,
        "lessorequals": lambda a, b: a <= b,
        "map": lambda items, function: [function(item) for item in items],
        "max": lambda *numbers: max(numbers),
        "not": lambda value: not value,
        "null": lambda: None,
        "range": lambda start, count: list(range(start, start + count)),
        "replace": lambda text, old, new: text.replace(old, new),
        "split": _split,
        "startswith": lambda text, start: text.lower().startswith(start.lower()),
        "string": _string,
        "substring": _substring,
        "toobject": _to_object,
        "trim": lambda text: text.strip(),
        "tryget": _try_get,
        "union": _union,
        "uniquestring": _unique_string,
    }
    return {name: _eagerly(function) for name, function in eager.items()} | {
        "and": lambda *parts: all(part() for part in parts),
        "coalesce": _coalesce,
        "if": lambda condition, yes, no: yes() if condition() else no(),
        "or": lambda *parts: any(part() for part in parts),
    }


def with_lambdas(functions: Functions) -> dict[str, Any]:
    """Return the functions with `lambda` and `lambdaVariables`: a lambda's variables are those of its caller."""
    bound: list[dict[str, Any]] = []

    def define(*parts: Lazy) -> Any:
        names, body = [part() for part in parts[:-1]], parts[-1]

        def apply(*values: Any) -> Any:
            bound.append(dict(zip(names, values, strict=True)))
            try:
                return body()
            finally:
                bound.pop()

        return apply

    def variable(name: Lazy) -> Any:
        wanted = name()
        for frame in reversed(bound):
            if wanted in frame:
                return frame[wanted]
        raise TemplateError(f"The lambda variable '{wanted}' is not defined.")

    return dict(functions) | {"lambda": define, "lambdavariables": variable}


def _eagerly(function: Any) -> Any:
    return lambda *arguments: function(*(argument() for argument in arguments))


def _base64_to_string(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        raise TemplateError("The parameter of 'base64ToString' must be a valid base64 encoded string.") from None


def _concat(*parts: Any) -> Any:
    return [item for part in parts for item in part] if isinstance(parts[0], list) else "".join(map(str, parts))


def _contains(container: Any, item: Any) -> bool:
    if isinstance(container, dict):
        return any(key.lower() == item.lower() for key in container)
    return item in container


def _fail(message: str) -> Any:
    raise TemplateError(message)


def _format(pattern: str, *values: Any) -> str:
    for i, value in enumerate(values):
        pattern = pattern.replace(f"{{{i}}}", str(value))
    return pattern.replace("{{", "{").replace("}}", "}")


def _int(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise TemplateError(
            f"The template function 'int' was passed a value that is no integer: '{value}'."
        ) from None


def _split(text: str, delimiter: str | list[str]) -> list[str]:
    delimiters = [delimiter] if isinstance(delimiter, str) else delimiter
    for other in delimiters[1:]:
        text = text.replace(other, delimiters[0])
    return text.split(delimiters[0])


def _string(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _substring(text: str, start: int, length: int | None = None) -> str:
    end = len(text) if length is None else start + length
    if not 0 <= start <= end <= len(text):
        raise TemplateError(f"The index and length parameters of 'substring' must be within the text '{text}'.")
    return text[start:end]


def _to_object(items: list[Any], key: Any, value: Any = None) -> dict[str, Any]:
    return {key(item): value(item) if value else item for item in items}


def _try_get(of: Any, *names: Any) -> Any:
    for name in names:
        try:
            of = member(of, name)
        except TemplateError:
            return None
    return of


def _union(*parts: Any) -> Any:
    if isinstance(parts[0], list):
        every = [item for part in parts for item in part]
        return [item for i, item in enumerate(every) if item not in every[:i]]
    merged: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            known = merged.get(name)
            nested = isinstance(known, dict) and isinstance(value, dict)
            merged[name] = _union(known, value) if nested else value
    return merged


def _unique_string(*parts: Any) -> str:
    digest = hashlib.sha256("-".join(map(str, parts)).encode()).digest()
    return base64.b32encode(digest).decode().lower()[:13]


def _coalesce(*parts: Lazy) -> Any:
    return next((value for part in parts if (value := part()) is not None), None)
