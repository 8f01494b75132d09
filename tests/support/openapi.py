"""docs/openapi.yaml, and validation of values against it."""

from functools import cache
from typing import Any

import yaml
from jsonschema_rs import Draft202012Validator

from tests.support.paths import ROOT

FILE = ROOT / "docs/openapi.yaml"


@cache
def document() -> dict[str, Any]:
    """The description as it stands."""
    read: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return read


def described(schema: str, value: object) -> None:
    """Return if `value` is as the component `schema` says, and has no field that it does not name. Else raise."""
    _validator(schema).validate(value)


@cache
def _validator(schema: str) -> Draft202012Validator:
    components = {name: _closed(part) for name, part in document()["components"]["schemas"].items()}
    root = {"$ref": f"#/components/schemas/{schema}", "unevaluatedProperties": False}
    return Draft202012Validator(root | {"components": {"schemas": components}}, validate_formats=True)


def _closed(part: Any) -> Any:
    """`part` with every object that names its fields closed to others.

    The description leaves answers open: a client must bear with a field that a later version adds.
    """
    if isinstance(part, list):
        return [_closed(item) for item in part]
    if not isinstance(part, dict):
        return part
    inner = {name: _closed(value) for name, value in part.items()}
    return inner | {"unevaluatedProperties": False} if {"properties", "allOf"} & inner.keys() else inner
