"""The triggers: which there are, what importing them costs, and what it sets going."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from shared.intake_settings import names_of_intake
from tests.support.functions import API, HTTP, OTHERS
from tests.support.paths import ROOT
from tests.support.samples import ENVIRONMENT

HEAVY = (
    "msgraph",
    "kiota_abstractions",
    "kiota_http",
    "azure.eventgrid",
    "azure.keyvault",
    "azure.storage.blob",
    "httpx",
    "jwt",
    "shared.followup.service",
    "shared.api.revocations.routes",
    "shared.api.intake.routes",
    "shared.sources",
    "shared.operations.readiness",
    "shared.operations.sweeper",
    "shared.operations.dead_letters",
    "shared.operations.poison_messages",
    "shared.operations.refusal_reminders",
    "shared.followup.mail.summary_store",
    "shared.api.console",
    "shared.api.sas_in_use",
    "shared.watch",
    "opentelemetry",
    "azure.monitor",
)
INDEX = f"""
import json, sys
import function_app
print(json.dumps({{
    "functions": {{
        function.get_function_name(): json.loads(function.get_function_json())
        for function in function_app.app.get_functions()
    }},
    "heavy": [name for name in {HEAVY!r} if name in sys.modules],
}}))
"""


def run(code: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def index() -> dict[str, Any]:
    """What a fresh process sees that imports the app with a complete set of settings, and nothing else."""
    finished = run(INDEX, ENVIRONMENT)
    assert finished.returncode == 0, finished.stderr
    seen: dict[str, Any] = json.loads(finished.stdout)
    return seen


# What there is


def test_there_are_exactly_these_functions(index: dict[str, Any]) -> None:
    others = {name for name, _ in OTHERS}
    assert set(index["functions"]) == {*others, *HTTP}


@pytest.mark.parametrize(
    ("name", "trigger"),
    [
        *OTHERS,
        (
            "take_report",
            {"type": "httpTrigger", "route": "intake/{source}", "methods": ["POST"], "authLevel": "ANONYMOUS"},
        ),
        (
            "health_check",
            {"type": "httpTrigger", "route": "health", "methods": ["GET", "HEAD"], "authLevel": "ANONYMOUS"},
        ),
        (
            "list_sas_in_use",
            {"type": "httpTrigger", "route": "sas", "methods": ["GET"], "authLevel": "ANONYMOUS"},
        ),
        *(
            (name, {"type": "httpTrigger", "route": route, "methods": [method], "authLevel": "ANONYMOUS"})
            for name, method, route, _ in API
        ),
    ],
)
def test_a_function_is_bound_to_its_trigger(index: dict[str, Any], name: str, trigger: dict[str, object]) -> None:
    [bound] = [b for b in index["functions"][name]["bindings"] if str(b["type"]).endswith("Trigger")]

    assert {field: bound.get(field) for field in trigger} == trigger


def test_no_function_writes_through_a_binding(index: dict[str, Any]) -> None:
    """An output binding would be written after the function ends, and lost when it does not."""
    outputs = {
        (name, binding["type"])
        for name, function in index["functions"].items()
        for binding in function["bindings"]
        if not str(binding["type"]).endswith("Trigger")
    }

    assert outputs == {(name, "http") for name in HTTP}


def test_cold_start_imports_only_what_a_revocation_needs(index: dict[str, Any]) -> None:
    assert index["heavy"] == []


@pytest.mark.parametrize("name", ["SASQUASH_MODE", "SASQUASH_STORAGE__tableServiceUri"])
def test_a_missing_setting_stops_the_import_with_one_line_that_names_it(name: str) -> None:
    finished = run("import function_app", {key: value for key, value in ENVIRONMENT.items() if key != name})

    assert finished.returncode == 1
    last_line = finished.stderr.strip().splitlines()[-1]
    assert last_line == f"shared.errors.SettingsError: {name} is missing: set it (see docs/settings.md)."


def test_a_malformed_setting_stops_the_import_and_is_not_repeated() -> None:
    finished = run("import function_app", ENVIRONMENT | {"SASQUASH_MODE": "yolo"})

    assert finished.returncode == 1
    assert "SASQUASH_MODE is malformed" in finished.stderr
    assert "yolo" not in finished.stderr


# What importing it sets going


BEGUN = """
import asyncio
async def main():
    import function_app
    print(function_app.WARMING_UP is not None)
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("settings", "begun"),
    [
        ({}, "True"),
        ({"AzureWebJobs.contain.Disabled": "false"}, "True"),
        ({"AzureWebJobs.on_finding.Disabled": "true"}, "True"),
        ({"AzureWebJobs.contain.Disabled": "true"}, "False"),
        ({"AzureWebJobs_contain_Disabled": "1"}, "False"),
    ],
    ids=[
        "where leaks are revoked",
        "where that is not switched off",
        "where findings come from a queue",
        "where it is",
        "and there is no dot",
    ],
)
def test_a_process_warms_up_on_the_loop_that_calls_its_functions(settings: dict[str, str], begun: str) -> None:
    finished = run(BEGUN, ENVIRONMENT | settings)

    assert finished.stdout.strip() == begun, finished.stderr


OF_INTAKE = {name: value for name, value in ENVIRONMENT.items() if name in names_of_intake()} | {
    "AzureWebJobs.contain.Disabled": "true"
}
ALONE = """
import function_app
services = function_app.intake()
print(services.intake is not None, services.alert_reader is not None)
try:
    function_app.sasquash()
except function_app.SettingsError as error:
    print(error)
"""


def test_a_separate_intake_starts_with_its_own_settings_and_has_nothing_of_the_responder() -> None:
    """Its host's master key runs a disabled function, too: that has no settings then."""
    finished = run(ALONE, OF_INTAKE)

    assert finished.stdout.splitlines() == [
        "True True",
        "This app is a separate intake: it has no settings of the responder.",
    ], finished.stderr


@pytest.mark.parametrize("name", ["SASQUASH_STORAGE__queueServiceUri", "SASQUASH_TOPIC_ENDPOINT"])
def test_a_missing_setting_stops_a_separate_intake(name: str) -> None:
    finished = run("import function_app", {key: value for key, value in OF_INTAKE.items() if key != name})

    assert f"SettingsError: {name} is missing" in finished.stderr


def test_an_import_that_nobody_calls_functions_after_begins_nothing() -> None:
    finished = run("import function_app; print(function_app.WARMING_UP)", ENVIRONMENT)

    assert finished.stdout.strip() == "None", finished.stderr
