"""Without a subscription nothing is done, and all that would be is said; what was seen is judged strictly."""

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


def test_without_a_subscription_it_says_all_that_it_would_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0

    said = capsys.readouterr().out
    assert [fact.name for fact in FACTS if f"- {fact.name}: {fact.belief}" not in said or fact.how not in said] == []
    assert [line for line in BY_HAND if line not in said] == []


def test_without_a_subscription_no_command_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azd, "run", None)
    monkeypatch.setattr("conformance.__main__.AzureCliCredential", None)

    assert main([]) == 0


def test_make_says_it_too() -> None:
    done = subprocess.run([sys.executable, "-m", "conformance"], cwd=ROOT, capture_output=True, text=True, check=True)

    assert "Nothing is done without a subscription" in done.stdout


def test_each_fact_is_tried_in_one_way_and_says_how() -> None:
    assert all((fact.of_azure is None) != (fact.of_deployment is None) for fact in FACTS)
    assert all(fact.how.endswith(".") and fact.basis for fact in FACTS)
    assert len({fact.name for fact in FACTS}) == len(FACTS)


class Roles:
    """A place that has roles."""

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


async def test_roles_that_are_as_they_were_asked_for_are_seen() -> None:
    assert await custom_roles(Roles(), DEPLOYMENT) == f"{len(roles())} roles are there with exactly their actions"  # type: ignore[arg-type]


async def test_a_role_that_azure_made_less_of_is_named() -> None:
    with pytest.raises(ValueError, match="Sasquash Readiness"):
        await custom_roles(Roles(Readiness=["*/read"]), DEPLOYMENT)  # type: ignore[arg-type]


class Site:
    """A place whose app answers with these statuses."""

    def __init__(self, **status: int) -> None:
        self.status = {"health": 200, "revocations": 401, "intake": 404, "webhooks": 400} | status

    async def ask(self, url: str) -> Answer:
        return Answer(self.status[url.removeprefix("https://app.example").split("/")[2]], "", {}, b"")


async def test_a_platform_that_lets_past_what_it_should_is_seen() -> None:
    assert await sign_in(Site(), DEPLOYMENT) == (  # type: ignore[arg-type]
        "/api/health 200; /api/revocations 401; /api/intake/github 404; /runtime/webhooks/eventgrid 400"
    )


@pytest.mark.parametrize("site", [Site(health=401), Site(revocations=200), Site(intake=401), Site(webhooks=401)])
async def test_missing_platform_support_is_reported(site: Site) -> None:
    with pytest.raises(ValueError, match="not as wanted"):
        await sign_in(site, DEPLOYMENT)  # type: ignore[arg-type]


KEY, SIGNATURE = base64.b64encode(bytes(64)).decode(), "c2lnbmF0dXJl"
EXPECTED = (hashlib.sha256(bytes(64)).hexdigest(), hashlib.sha256(SIGNATURE.encode()).hexdigest())


def test_a_log_line_with_both_hashes_is_as_believed() -> None:
    line = f"key1({EXPECTED[0].upper()}),SasSignature({EXPECTED[1].upper()})"

    assert logs._judged(line, EXPECTED) == "both are there: key1(…),SasSignature(…)"


def test_a_log_line_by_another_recipe_names_the_hash_that_is_missing() -> None:
    with pytest.raises(ValueError, match="the signature's hash is not in it"):
        logs._judged(f"key1({EXPECTED[0]}),SasSignature({'0' * 64})", EXPECTED)
