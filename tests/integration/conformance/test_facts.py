"""Without a subscription nothing is tested, and the plan is printed. Observations are checked strictly."""

import base64
import hashlib
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from conformance import accounts, azd, logs
from conformance.__main__ import main, of_deployment
from conformance.deployed import Deployment, custom_roles, sign_in
from conformance.facts import FACTS, Fact
from conformance.place import TemporaryAccount
from conformance.report import Outcome, Result, table
from shared.cloud.data_plane import Answer
from tests.support.bicep import ROOT, roles

DEPLOYMENT = Deployment("test", {"SASQUASH_API": "https://app.example/api"})


def test_plan_lists_every_assumption_and_test(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0

    printed = capsys.readouterr().out
    assert [
        fact.name for fact in FACTS if f"- {fact.name}: {fact.assumption}" not in printed or fact.how not in printed
    ] == []


def test_no_command_runs_without_a_subscription(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azd, "run", None)
    monkeypatch.setattr("conformance.__main__.AzureCliCredential", None)

    assert main([]) == 0


def test_module_prints_the_plan() -> None:
    done = subprocess.run([sys.executable, "-m", "conformance"], cwd=ROOT, capture_output=True, text=True, check=True)

    assert "Nothing is tested without a subscription" in done.stdout


def test_every_fact_has_one_documented_test() -> None:
    ways = [(fact.of_azure, fact.of_deployment, fact.by_hand) for fact in FACTS]
    assert [len([way for way in each if way]) for each in ways] == [1] * len(FACTS)
    assert all(fact.how.endswith(".") and fact.basis and fact.change for fact in FACTS)
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
        self.status = {"health": 200, "revocations": 401, "intake": 404, "webhooks": 401, "Health": 200} | status
        self.challenge: dict[str, str] = {}

    async def ask(self, url: str) -> Answer:
        return Answer(self.status[url.removeprefix("https://app.example").split("/")[2]], "", self.challenge, b"")


async def test_sign_in_with_the_expected_statuses_is_confirmed() -> None:
    assert await sign_in(Site(), DEPLOYMENT) == (  # type: ignore[arg-type]
        "/api/health 200; /api/revocations 401; /api/intake/github 404; /runtime/webhooks/eventgrid 401; "
        "/api/Health 200"
    )


@pytest.mark.parametrize("site", [Site(health=401), Site(revocations=200), Site(intake=401), Site(webhooks=200)])
async def test_sign_in_with_another_status_is_refuted(site: Site) -> None:
    with pytest.raises(ValueError, match="unexpected"):
        await sign_in(site, DEPLOYMENT)  # type: ignore[arg-type]


async def test_webhook_that_the_platform_refuses_is_refuted() -> None:
    """The host refuses a missing key with 401, too, but without a challenge (azure-functions-host 4.1037, tried)."""
    site = Site()
    site.challenge = {"www-authenticate": "Bearer realm=app.example"}

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


class Scripted:
    """A place with one account, whose answers are given."""

    location = "westeurope"

    subscription = "3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33"

    def __init__(self, *answers: Answer, events: tuple[str, ...] = ()) -> None:
        self.answers = list(answers)
        self.events = events
        self.calls: list[str] = []

    async def account(self) -> TemporaryAccount:
        return TemporaryAccount("/subscriptions/x/storageAccounts/a", "a", "g", {"key1": KEY, "key2": KEY})

    async def ask(self, url: str) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def call(self, method: str, url: str, *, body: object = None) -> object:
        self.calls.append(f"{method} {url} {body}")
        return {"value": [{"operationName": {"value": name}} for name in self.events]}


REFUSED = Answer(
    403,
    "AuthenticationFailed",
    {},
    b"<Error><AuthenticationErrorDetail>Policy violated by no signed start</AuthenticationErrorDetail></Error>",
)


async def test_sas_expiration_policy_is_observed_with_its_code_and_detail() -> None:
    place = Scripted(Answer(200, "", {}, b""), REFUSED)

    observed = await accounts.sas_expiration_policy(place, pause=0)  # type: ignore[arg-type]

    assert observed.endswith("s as 403 AuthenticationFailed: Policy violated by no signed start")
    assert "'expirationAction': 'Block'" in place.calls[0]


async def test_sas_expiration_policy_without_effect_is_refuted() -> None:
    with pytest.raises(ValueError, match="still accepted"):
        await accounts.sas_expiration_policy(Scripted(Answer(200, "", {}, b"")), patience=0, pause=0)  # type: ignore[arg-type]


async def test_event_of_a_container_is_found_by_the_id_of_its_account() -> None:
    place = Scripted(REFUSED, events=("Microsoft.Storage/storageAccounts/blobServices/containers/write",))

    assert (await accounts.container_activity(place)).startswith("the event of a container was there")  # type: ignore[arg-type]
    assert "resourceUri%20eq%20'/subscriptions/x/storageAccounts/a'" in place.calls[-1]


async def test_missing_event_of_a_container_is_refuted() -> None:
    with pytest.raises(ValueError, match="no event of a container"):
        await accounts.container_activity(Scripted(REFUSED), patience=0.01, pause=0)  # type: ignore[arg-type]


ROTATED = datetime(2026, 11, 21, 10, tzinfo=UTC)


class Rotated(Scripted):
    """A place whose log has these events of a rotation, each with its request or without."""

    def __init__(self, *, apart: float, **requests: str) -> None:
        super().__init__(REFUSED)
        self.rotation = [
            {
                "operationName": {"value": "MICROSOFT.STORAGE/STORAGEACCOUNTS/REGENERATEKEY/ACTION"},
                "operationId": "o",
                "status": {"value": status},
                "eventTimestamp": (ROTATED + timedelta(seconds=apart)).isoformat(),
                "properties": {"requestbody": body} if body else None,
            }
            for status, body in requests.items()
        ]

    @property
    def arm(self) -> Any:
        return SimpleNamespace(storage_accounts=self)

    async def regenerate_key(self, group: str, name: str, parameters: object) -> None:
        self.calls.append(f"{group}/{name}")

    async def call(self, method: str, url: str, *, body: object = None) -> object:
        return {"value": self.rotation, "properties": {"keyCreationTime": {"key1": ROTATED.isoformat()}}}


async def test_rotation_whose_start_has_the_request_is_confirmed() -> None:
    place = Rotated(apart=1, Started='{"keyName":"key1"}', Succeeded="")

    observed = await accounts.rotation_activity(place)  # type: ignore[arg-type]

    assert observed.startswith(
        "Started have the request, 0:00:01 from the key's creation time; it was there after 0 s"
    )


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (Rotated(apart=1, Started="", Succeeded=""), "no event of the operation has the request"),
        (Rotated(apart=600, Started='{"keyName":"key1"}', Succeeded=""), "0:10:00 from the key's creation time"),
        (Rotated(apart=1, Started='{"keyName":"key1"}'), "no success of a rotation"),
    ],
)
async def test_rotation_that_could_not_be_identified_is_refuted(place: Rotated, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        await accounts.rotation_activity(place, patience=0.01, pause=0)  # type: ignore[arg-type]


class Logged:
    """A place with a workspace, whose first line has this hash."""

    subscription, group, location = Scripted.subscription, "g", "westeurope"

    def __init__(self, found: str) -> None:
        self.found = found
        self.asked: list[str] = []

    async def account(self) -> TemporaryAccount:
        return await Scripted().account()

    async def set_policies(self, account: TemporaryAccount, policies: object) -> None:
        self.asked.append(f"policies of {account.name}")

    async def call(self, method: str, url: str, *, body: Any = None, scope: str = "") -> object:
        if "query" in (body or {}):
            columns = ("AuthenticationHash", "CallerIpAddress", "ClientRequestId")
            row = [self.found, "203.0.113.7:5", "r"]
            return {"tables": [{"columns": [{"name": name} for name in columns], "rows": [row]}]}
        self.asked.append(str(body))
        return {"id": "w", "properties": {"customerId": "c", "provisioningState": "Succeeded"}}


async def test_write_of_policies_is_found_by_the_query_of_the_product() -> None:
    place = Logged("key1(5E)")

    assert await logs.policy_write(place) == "found, from 203.0.113.7:5, request r"  # type: ignore[arg-type]
    assert "policies of a" in place.asked
    assert any("StorageWrite" in asked for asked in place.asked)


async def test_write_of_policies_without_its_key_is_refuted() -> None:
    with pytest.raises(ValueError, match="does not start with the key"):
        await logs.policy_write(Logged("5E"))  # type: ignore[arg-type]


def test_table_names_what_to_change_only_where_a_belief_is_not_confirmed() -> None:
    fact = Fact(name="x", assumption="it | holds", basis="a page", change="that module", by_hand="Read it.")
    rows = table(Result(fact, outcome, "seen") for outcome in Outcome).splitlines()[2:]

    assert rows == [
        "| **x**: it \\| holds (a page) | confirmed: seen | nothing |",
        "| **x**: it \\| holds (a page) | REFUTED: seen | that module |",
        "| **x**: it \\| holds (a page) | not tried: seen | that module |",
    ]


async def test_deployment_and_registration_are_deleted_even_if_neither_was_finished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []

    async def up(name: str, **_: object) -> dict[str, str]:
        return {"SASQUASH_API": "https://app.example/api", "AZURE_RESOURCE_GROUP": "g"}

    async def run(*command: str, **_: object) -> None:
        done.append(" ".join(command))

    async def text(*command: str) -> str:
        if command[:4] == ("az", "ad", "app", "list"):
            return "client"
        raise azd.CommandFailed("az ad sp show failed.")

    async def down(name: str) -> None:
        done.append(f"down {name}")
        raise azd.CommandFailed("azd down failed.")

    for name, replaced in (("up", up), ("run", run), ("text", text), ("down", down)):
        monkeypatch.setattr(azd, name, replaced)

    with pytest.raises(azd.CommandFailed):
        await of_deployment(Scripted(REFUSED), "test", [])  # type: ignore[arg-type]

    assert done == ["scripts/create-registration.sh", "down test", "az ad app delete --id client"]
