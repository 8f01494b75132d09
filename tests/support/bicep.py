"""What infra/ holds beside its Bicep files, which only the compiler reads (tests/support/snapshots.py)."""

import json
from typing import Any

from tests.support.paths import ROOT

INFRA = ROOT / "infra"


def roles() -> list[dict[str, Any]]:
    """The custom roles."""
    read: list[dict[str, Any]] = json.loads((INFRA / "roles.json").read_text())
    return read


def functions() -> dict[str, list[str]]:
    """The functions of each app by its service's name. Of two apps each has the other's disabled."""
    read: dict[str, list[str]] = json.loads((INFRA / "functions.json").read_text())
    return read


def deliveries() -> dict[str, list[str]]:
    """The functions by which findings arrive: without a private network, and in one."""
    read: dict[str, list[str]] = json.loads((INFRA / "deliveries.json").read_text())
    return read


def parameters() -> dict[str, Any]:
    """What azd gives main.bicep, with its variables unresolved."""
    read: dict[str, dict[str, Any]] = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]
    return {name: parameter["value"] for name, parameter in read.items()}
