"""The Bicep files of infra/, parsed by pycep, for tests that compare them with the code."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from pycep import BicepParser

from tests.support.paths import ROOT

INFRA = ROOT / "infra"


@cache
def parsed(file: str) -> dict[str, Any]:
    """One file, by its path below infra/."""
    read: dict[str, Any] = BicepParser().parse(text=(INFRA / file).read_text())
    return read


def files() -> list[str]:
    """Every Bicep file, by its path below infra/."""
    return sorted(str(file.relative_to(INFRA)) for file in INFRA.rglob("*.bicep"))


def variable(file: str, name: str) -> Any:
    """The value of a variable."""
    return parsed(file)["variables"][name]["value"]


def resource(file: str, name: str) -> dict[str, Any]:
    """What a resource is made of, be it in a loop or not."""
    return configured(parsed(file)["resources"][name]["config"])


def configured(config: dict[str, Any]) -> dict[str, Any]:
    """What is inside loops and conditions."""
    while "name" not in config and "config" in config:
        config = config["config"]
    return config


def roles() -> list[dict[str, Any]]:
    """The custom roles."""
    read: list[dict[str, Any]] = json.loads((INFRA / "roles.json").read_text())
    return read


def modules() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each module of main.bicep with its parameters."""
    for name, module in parsed("main.bicep")["modules"].items():
        yield name, configured(module["config"])["params"]
