"""Writes the schemas of the responses into docs/openapi.yaml: `make openapi`.

Everything below the marker line is generated from the response Structs. Everything above it is written by hand.
"""

from typing import Any

import msgspec
import yaml

from shared.api.health import Health
from shared.api.intake.routes import Reported
from shared.api.problems import Problem
from shared.api.readiness import Readiness
from shared.api.revocations.responses import Page, Revocations
from shared.api.sas_in_use import SasList
from tests.support.openapi import FILE

MARKER = "    # Generated from the response Structs by `make openapi`. Do not edit below this line.\n"

_RESPONSES = (Revocations, Page, Reported, Readiness, SasList, Health, Problem)
# Descriptions of enums. Docstrings of `domain` are for developers.
_ENUMS = {
    "State": "`received` durable, not decided yet · `observed` mode observe: no action was run · `awaiting_approval` "
    "requires approval · `contained` the action was run · `proven` verified revoked · `closed` no open items · "
    "`dismissed` no action required · `unresolved` requires a person · `failed` the action failed",
    "SignedBy": "By verification of the signature: `key1`, `key2` · `user_delegation` by a key that Azure does not "
    "disclose · `unknown` no current key signed it · `undecided` its version is too new, or its URL lacks what was "
    "signed · `unchecked` the keys of its account could not be read (`unread`)",
    "Reason": "Why the record is in its state, where it was not revoked.",
}


def schemas() -> dict[str, Any]:
    """Return `components.schemas` of the responses, by name."""
    _, components = msgspec.json.schema_components(_RESPONSES, ref_template="#/components/schemas/{name}")
    return {name: _described(name, schema) for name, schema in components.items()}


def generated() -> str:
    """Return the part of docs/openapi.yaml below the marker."""
    text = yaml.safe_dump(schemas(), sort_keys=False, width=112, allow_unicode=True)
    return "".join(f"    {line}\n" for line in text.splitlines())


def _described(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return `schema` without its title, which is its name; an enum with its description for users of the API."""
    kept = {key: value for key, value in schema.items() if key != "title"}
    if "enum" not in kept:
        return kept
    kept.pop("description", None)
    return ({"description": _ENUMS[name]} if name in _ENUMS else {}) | kept


def main() -> None:
    """Replace the generated part of the file."""
    by_hand, marker, _ = FILE.read_text().partition(MARKER)
    if not marker:
        raise SystemExit(f"{FILE} has no line {MARKER.strip()!r}.")
    FILE.write_text(by_hand + marker + generated())


if __name__ == "__main__":
    main()
