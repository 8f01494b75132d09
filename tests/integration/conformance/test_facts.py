"""Without a subscription nothing is tested, and the plan is printed. Observations are checked strictly."""

import base64
import hashlib
import subprocess
import sys

import pytest

from conformance import azd, logs
from conformance.__main__ import main
from conformance.deployed import Deployment, custom_roles, sign_in
from conformance.facts import BY_HAND, FACTS
from shared.cloud.data_plane import Answer
from tests.support.bicep import ROOT, roles

DEPLOYMENT = Deployment("test", {"SASQUASH_API": "https://app.example/api"})


def test_plan_lists_every_assumption_and_test(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0

    printed = capsys.readouterr().out
    assert [
        fact.name for fact in FACTS if f"- {fact.name}: {fact.assumption}" not in printed or fact.how not in printed
    ] == []
    assert [line for line in BY_HAND if line not in printed] == []


def test_no_command_runs_without_a_subscription(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azd, "run", None)
    monkeypatch.setattr("conformance.__main__.AzureCliCredential", None)

    assert main([]) == 0


def test_module_prints_the_plan() -> None:
    done = subprocess.run([sys.executable, "-m", "conformance"], cwd=ROOT, capture_output=True, text=True, check=True)

    assert "Nothing is tested without a subscription" in done.stdout


def test_every_fact_has_one_documented_test() -> None:
    assert all((fact.of_azure is None) != (fact.of_deployment is None) for fact in FACTS)
    assert all(fact.how.endswith(".") and fact.basis for fact in FACTS)
    assert len({fact.name for fact in FACTS}) == len(FACTS)


class Roles:
    """A place with custom roles."""

    subscription = "3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33"

    def __init__(self, **changed: list[str]) -> None:
        self.changed = changed

    async def call(self, method: str, url: str) -> object:
        assert (method, "CustomRole" in url) == ("GET", True)
        return {
            "value": [
                {
                    "properties": {
                        "roleName": f"{role['name']} (test, 3d8f6a52)",
                        "permissions": [{"actions": self.changed.get(role["name"].split()[-1], role["actions"])}],
                    }
                }
                for role in roles()
            ]
        }


async def test_custom_roles_with_their_actions_are_confirmed() -> None:
    assert await custom_roles(Roles(), DEPLOYMENT) == f"{len(roles())} roles have exactly their actions"  # type: ignore[arg-type]


async def test_role_with_other_actions_is_named() -> None:
    with pytest.raises(ValueError, match="Sasquash Readiness"):
        await custom_roles(Roles(Readiness=["*/read"]), DEPLOYMENT)  # type: ignore[arg-type]


class Site:
    """A place whose app responds with these statuses."""

    def __init__(self, **status: int) -> None:
        self.status = {"health": 200, "revocations": 401, "intake": 404, "webhooks": 400} | status

    async def ask(self, url: str) -> Answer:
        return Answer(self.status[url.removeprefix("https://app.example").split("/")[2]], "", {}, b"")


async def test_sign_in_with_the_expected_statuses_is_confirmed() -> None:
    assert await sign_in(Site(), DEPLOYMENT) == (  # type: ignore[arg-type]
        "/api/health 200; /api/revocations 401; /api/intake/github 404; /runtime/webhooks/eventgrid 400"
    )


@pytest.mark.parametrize("site", [Site(health=401), Site(revocations=200), Site(intake=401), Site(webhooks=401)])
async def test_sign_in_with_another_status_is_refuted(site: Site) -> None:
    with pytest.raises(ValueError, match="unexpected"):
        await sign_in(site, DEPLOYMENT)  # type: ignore[arg-type]


KEY, SIGNATURE = base64.b64encode(bytes(64)).decode(), "c2lnbmF0dXJl"
EXPECTED = (hashlib.sha256(bytes(64)).hexdigest(), hashlib.sha256(SIGNATURE.encode()).hexdigest())


def test_log_line_with_both_hashes_is_confirmed() -> None:
    line = f"key1({EXPECTED[0].upper()}),SasSignature({EXPECTED[1].upper()})"

    assert logs._check(line, EXPECTED) == "both are present: key1(…),SasSignature(…)"


def test_log_line_without_a_hash_is_refuted_by_name() -> None:
    with pytest.raises(ValueError, match="the signature's hash is missing"):
        logs._check(f"key1({EXPECTED[0]}),SasSignature({'0' * 64})", EXPECTED)
