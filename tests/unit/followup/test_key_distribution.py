"""The key hand-over, through the real secret client, against the local Key Vault in process."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.keyvault.secrets.aio import SecretClient
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from local.entra.service import Entra
from local.key_vault import service
from local.tenant import identities
from local.tenant.model import KEY_VAULT, Cloud
from local.tenant.vault_model import SecretVersion, Vault
from shared.cloud import key_vault
from shared.domain.account import AccountFacts, AccountKey
from shared.domain.azure_clouds import CLOUDS, CloudName
from shared.domain.revocation import Execution, KeyDistribution, KeyDistributionOutcome
from shared.domain.target import ActionKind
from shared.errors import AccountGone, Blocked, SasquashError, Throttled, TransientFailure
from shared.followup import key_distribution
from shared.followup.key_distribution import KeyDistributor
from shared.sas import key_sha256
from tests.support import samples
from tests.support.asgi import Credential, Transport
from tests.support.samples import KEYS, NOW

NAME = "storage-key"
ID = f"https://{KEY_VAULT}.vault.azure.net/secrets/{NAME}"
TAG, FORMAT = "sasquash-key-vault", "sasquash-key-vault-format"
OLD, NEW, THIRD = KEYS["key2"], samples.key("new"), samples.key("third")


class Wire(Transport):
    """The way to the vault. What `instead` holds happens to requests of `method`, in their stead or `after` them."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app)
        self.instead: ASGIApp | AzureError | asyncio.Event | None = None
        self.method = "GET"
        self.after = False
        self.before: Callable[[HttpRequest], None] = lambda _: None
        self.lines: list[str] = []

    async def send(self, request: HttpRequest, **options: Any) -> AsyncHttpResponse:
        # The first request to a vault elicits its challenge and does nothing, without its body.
        if "Authorization" in request.headers:
            self.before(request)
            self.lines.append(f"{request.method} {request.url.partition('?')[0]}")
            if self.instead is not None and request.method == self.method:
                return await self._strike(self.instead, request, **options)
        return await super().send(request, **options)

    async def _strike(
        self, instead: ASGIApp | AzureError | asyncio.Event, request: HttpRequest, **options: Any
    ) -> AsyncHttpResponse:
        if self.after:
            await super().send(request, **options)
        if isinstance(instead, AzureError):
            raise instead
        if isinstance(instead, asyncio.Event):
            await instead.wait()
            raise ServiceResponseError("the silence was ended")
        return await Transport(instead).send(request, **options)

    def count(self, method: str) -> int:
        return sum(line.startswith(method) for line in self.lines)


class Arm:
    """Lists an account's keys."""

    def __init__(self) -> None:
        self.key2 = NEW
        self.asked = 0
        self.fails: SasquashError | None = None

    async def keys(self, _account: AccountFacts) -> dict[str, AccountKey]:
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        return {"key1": AccountKey(KEYS["key1"], None), "key2": AccountKey(self.key2, None)}


def answering(status: int, body: object = None, **headers: str) -> ASGIApp:
    """A Key Vault that answers everything with this."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        names = {name.replace("_", "-"): text for name, text in headers.items()}
        await JSONResponse(body or {"error": {"code": "Code", "message": "m"}}, status, names)(scope, receive, send)

    return answer


@pytest.fixture(scope="module")
def entra_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def cloud() -> Cloud:
    return Cloud(identities=identities.directory())


@pytest.fixture
def vault(cloud: Cloud) -> Vault:
    return cloud.vaults[KEY_VAULT]


@pytest.fixture
def entra(cloud: Cloud, entra_key: rsa.RSAPrivateKey) -> Entra:
    return Entra(cloud, key=entra_key)


@pytest.fixture
def wire(cloud: Cloud, entra: Entra) -> Wire:
    return Wire(service.app(cloud, entra))


@pytest.fixture
def arm() -> Arm:
    return Arm()


@pytest.fixture
async def client(cloud: Cloud, entra: Entra, wire: Wire) -> AsyncIterator[SecretClient]:
    credential = Credential(entra, cloud.identities["responder"])
    url = f"https://{KEY_VAULT}.vault.azure.net"
    async with SecretClient(url, credential, transport=wire, retry_total=2, retry_backoff_factor=0) as opened:
        yield opened


@pytest.fixture
def handing(client: SecretClient, arm: Arm) -> KeyDistributor:
    return making(client, arm)


def making(client: SecretClient, arm: Arm) -> KeyDistributor:
    def client_for(url: str) -> SecretClient:
        assert url == client.vault_url, "a vault that is not allowed was asked"
        return client

    return KeyDistributor(
        client_for, arm.keys, key_vaults=(KEY_VAULT,), key_vault_suffix="vault.azure.net", clock=lambda: NOW
    )


def account(tag: str = ID, form: str | None = None) -> AccountFacts:
    return samples.account(tags={TAG: tag} | ({FORMAT: form} if form is not None else {}))


def execution(**changed: Any) -> Execution:
    return replace(samples.execution(), **changed)


def put(vault: Vault, value: str = OLD, *, age: float = 0, **properties: Any) -> SecretVersion:
    """A version of the secret, the current one from now on; `age` in seconds."""
    version = SecretVersion(value, **properties)
    version.created -= timedelta(seconds=age)
    vault.add(NAME, version)
    return version


def versions(vault: Vault) -> list[SecretVersion]:
    return vault.secrets[NAME].versions


def shown(vault: Vault) -> list[tuple[str, bool]]:
    """Value and enabled of each version, the oldest first."""
    return [(version.value, version.enabled) for version in versions(vault)]


def connection_string(key: str) -> str:
    return f"DefaultEndpointsProtocol=https;AccountName=robustmodels;AccountKey={key};EndpointSuffix=core.windows.net"


REPLACED = [(OLD, False), (NEW, True)]


# done


async def test_secret_with_the_old_key_gets_the_new_one_and_its_old_version_is_disabled(
    handing: KeyDistributor, vault: Vault
) -> None:
    old = put(vault)

    done = await handing.run(execution(), account())

    assert shown(vault) == REPLACED
    assert done == KeyDistribution(
        KeyDistributionOutcome.DONE,
        NOW,
        f"{ID} holds the new key2 in version {versions(vault)[1].version}, and version {old.version} with the old "
        "one is disabled.",
        ID,
    )


async def test_all_else_of_the_secret_survives(handing: KeyDistributor, vault: Vault) -> None:
    properties: dict[str, Any] = {
        "content_type": "application/x-storage-key",
        "tags": {"team": "research"},
        "not_before": NOW - timedelta(days=400),
        "expires": NOW + timedelta(seconds=1),
    }
    old = put(vault, **properties)

    await handing.run(execution(), account())

    for version in (old, versions(vault)[1]):
        assert {name: getattr(version, name) for name in properties} == properties


async def test_secret_without_any_properties_gets_none(handing: KeyDistributor, vault: Vault) -> None:
    put(vault)

    await handing.run(execution(), account())

    new = versions(vault)[1]
    assert (new.content_type, new.tags, new.not_before, new.expires) == (None, None, None, None)


@pytest.mark.parametrize(
    "tag",
    [
        ID,
        f"{ID}/{'0a' * 16}",
        f"  {ID}\n",
        f"HTTPS://{KEY_VAULT.upper()}.Vault.Azure.Net/Secrets/{NAME}",
        ID.replace(NAME, NAME.upper()),
    ],
)
async def test_id_may_be_written_in_each_way_that_azure_shows_it(
    handing: KeyDistributor, vault: Vault, tag: str
) -> None:
    put(vault)

    assert (await handing.run(execution(), account(tag))).outcome is KeyDistributionOutcome.DONE
    assert shown(vault) == REPLACED


async def test_tags_are_known_by_any_case_of_their_names(handing: KeyDistributor, vault: Vault) -> None:
    put(vault, connection_string(OLD))
    tagged = samples.account(tags={"Sasquash-Key-Vault": ID, "SASQUASH-KEY-VAULT-FORMAT": " Connection-String "})

    assert (await handing.run(execution(), tagged)).outcome is KeyDistributionOutcome.DONE


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (None, "{}"),
        ("key", "{}\r\n"),
        ("", " {}"),
        ("connection-string", "AccountKey={}"),
        ("connection-string", connection_string("{}")),
        ("connection-string", "accountname=robustmodels; ACCOUNTKEY = {} ;\n"),
        (
            "connection-string",
            "SharedAccessSignature=sv=1&sig=AccountKey;BlobEndpoint=https://x/;AccountKey={};;é=ü\n",
        ),
        ("connection-string", f"Other=AccountKey={THIRD};AccountKey={{}}"),
    ],
)
async def test_only_the_key_changes_in_the_value(
    handing: KeyDistributor, vault: Vault, form: str | None, value: str
) -> None:
    put(vault, value.format(OLD))

    assert (await handing.run(execution(), account(form=form))).outcome is KeyDistributionOutcome.DONE
    assert shown(vault) == [(value.format(OLD), False), (value.format(NEW), True)]


_PARTS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters=";"), max_size=30), max_size=5).filter(
    lambda parts: not any(part.strip().lower().startswith("accountkey") for part in parts)
)


@given(before=_PARTS, after=_PARTS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_whatever_stands_around_the_key_is_kept(
    handing: KeyDistributor, vault: Vault, before: list[str], after: list[str]
) -> None:
    vault.secrets.clear()
    value = ";".join([*before, "AccountKey={key}", *after])
    around = value.split("{key}")
    put(vault, OLD.join(around))

    await handing.run(execution(), account(form="connection-string"))

    assert shown(vault) == [(OLD.join(around), False), (NEW.join(around), True)]


# not asked


@pytest.mark.parametrize("action", [action for action in ActionKind if action is not ActionKind.ACCOUNT_KEY])
async def test_pull_of_another_lever_hands_nothing_over(
    handing: KeyDistributor, vault: Vault, wire: Wire, action: ActionKind
) -> None:
    put(vault)

    result = await handing.run(execution(action=action), account())

    assert (result.outcome, result.secret, wire.lines) == (KeyDistributionOutcome.NOT_ASKED, None, [])


@pytest.mark.parametrize("tags", [{}, {TAG: "  "}, {FORMAT: "key"}, {"sasquash-key-vaults": ID}])
async def test_account_without_the_tag_hands_nothing_over(
    handing: KeyDistributor, wire: Wire, arm: Arm, tags: dict[str, str]
) -> None:
    result = await handing.run(execution(), samples.account(tags=tags))

    assert (result.outcome, wire.lines, arm.asked) == (KeyDistributionOutcome.NOT_ASKED, [], 0)
    assert result.said == "No tag sasquash-key-vault names a secret that holds the key."


# declined


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        (
            f"https://other-vault.vault.azure.net/secrets/{NAME}",
            "names key vault other-vault, which SASQUASH_KEY_VAU",
        ),
        (f"https://{KEY_VAULT}x.vault.azure.net/secrets/{NAME}", f"names key vault {KEY_VAULT}x, which"),
        (ID.replace("https", "http"), "is not the id of a secret"),
        (ID.replace("vault.azure.net", "vault.azure.cn"), "is not the id of a secret"),
        (ID.replace("vault.azure.net", "vault.azure.net.evil.example"), "is not the id of a secret"),
        (ID.replace("vault.azure.net", "vault.azure.net:8443"), "is not the id of a secret"),
        (ID.replace("https://", f"https://{KEY_VAULT}.vault.azure.net@evil.example/"), "is not the id of a secret"),
        (ID.replace("https://", "https://evil.example#"), "is not the id of a secret"),
        (ID.replace("sasquash-vault", "sasqua\u017fh-vault"), "is not the id of a secret"),
        (ID.replace("/secrets/", "/keys/"), "is not the id of a secret"),
        (ID.replace("/secrets/", "//secrets/"), "is not the id of a secret"),
        (f"{ID}/", "is not the id of a secret"),
        (f"{ID}/versions", "is not the id of a secret"),
        (f"{ID}/../other", "is not the id of a secret"),
        (f"{ID}?api-version=7.4", "is not the id of a secret"),
        (f"{ID}%2F..", "is not the id of a secret"),
        (f"{ID};{ID}", "is not the id of a secret"),
        (ID.replace(NAME, "a" * 128), "is not the id of a secret"),
        (ID.replace(NAME, ""), "is not the id of a secret"),
        (NAME, "is not the id of a secret"),
        ("<script>alert(1)</script>", "is not the id of a secret"),
    ],
)
async def test_tag_that_names_no_secret_in_an_allowed_vault_is_declined_without_a_call(
    handing: KeyDistributor, wire: Wire, arm: Arm, tag: str, said: str
) -> None:
    result = await handing.run(execution(), account(tag))

    assert (result.outcome, result.secret, wire.lines, arm.asked) == (KeyDistributionOutcome.DECLINED, None, [], 0)
    assert said in result.said
    assert "evil" not in result.said
    assert "<script>" not in result.said


@given(
    tag=st.one_of(st.text(), st.from_regex(key_distribution._SECRET_ID), st.builds("".join, st.permutations([*ID])))
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_text_leads_to_a_vault_that_is_not_allowed(handing: KeyDistributor, wire: Wire, tag: str) -> None:
    await handing.run(execution(), account(tag))

    assert all(line.startswith(f"GET https://{KEY_VAULT}.vault.azure.net/secrets/") for line in wire.lines)


@pytest.mark.parametrize("form", ["json", "connection string", "key;"])
async def test_unknown_format_is_declined_without_a_call(
    handing: KeyDistributor, vault: Vault, wire: Wire, form: str
) -> None:
    put(vault)

    result = await handing.run(execution(), account(form=form))

    assert (result.outcome, result.secret, wire.lines) == (KeyDistributionOutcome.DECLINED, ID, [])
    assert result.said == "The tag sasquash-key-vault-format is neither key nor connection-string."


@pytest.mark.parametrize("unknown", ["old_sha256", "new_sha256"])
async def test_key_that_is_not_known_is_declined_without_a_call(
    handing: KeyDistributor, vault: Vault, wire: Wire, unknown: str
) -> None:
    put(vault, "")

    result = await handing.run(execution(**{unknown: ""}), account())

    assert (result.outcome, wire.lines) == (KeyDistributionOutcome.DECLINED, [])
    assert result.said == "It is not known what key2 was and became."


@dataclass(frozen=True)
class Left:
    """A secret that is left as it is, and why."""

    said: str
    value: str = OLD
    form: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)


LEFT = {
    "other key": Left("does not hold the key2 that was replaced", KEYS["key1"]),
    "other key in a connection string": Left(
        "does not hold the key2 that was replaced", connection_string(THIRD), "connection-string"
    ),
    "connection string": Left('tag sasquash-key-vault-format has to be "connection-string"', connection_string(OLD)),
    "two keys": Left("is not an account key alone", f"{OLD} {OLD}"),
    "key without its end": Left("is not an account key alone", OLD[:-2]),
    "nothing": Left("is not an account key alone", ""),
    "key where a connection string should be": Left("with one AccountKey", OLD, "connection-string"),
    "same key twice": Left("with one AccountKey", f"AccountKey={OLD};AccountKey={OLD}", "connection-string"),
    "two AccountKeys": Left("with one AccountKey", f"AccountKey={OLD};accountkey={THIRD}", "connection-string"),
    "part of a name": Left("with one AccountKey", f"NotAccountKey={OLD}", "connection-string"),
    "quoted": Left("with one AccountKey", f'AccountKey="{OLD}"', "connection-string"),
    "disabled": Left(f"The current version of {ID} is disabled.", properties={"enabled": False}),
    "expired": Left(f"The current version of {ID} has expired.", properties={"expires": NOW}),
    "managed": Left("belongs to a certificate", properties={"managed": True}),
}


@pytest.mark.parametrize("left", LEFT.values(), ids=LEFT)
async def test_secret_that_must_not_be_replaced_is_left_as_it_is(
    handing: KeyDistributor, vault: Vault, wire: Wire, arm: Arm, left: Left
) -> None:
    old = put(vault, left.value, **left.properties)

    result = await handing.run(execution(), account(form=left.form))

    assert (result.outcome, result.secret, result.at) == (KeyDistributionOutcome.DECLINED, ID, NOW)
    assert left.said in result.said
    assert shown(vault) == [(left.value, old.enabled)]
    assert (wire.count("PUT"), wire.count("PATCH"), arm.asked) == (0, 0, 0)


async def test_old_key_in_an_older_version_alone_is_no_reason_to_write(handing: KeyDistributor, vault: Vault) -> None:
    put(vault)
    put(vault, THIRD)

    assert (await handing.run(execution(), account())).outcome is KeyDistributionOutcome.DECLINED
    assert shown(vault) == [(OLD, True), (THIRD, True)]


async def test_secret_that_does_not_exist_is_not_made(handing: KeyDistributor, vault: Vault) -> None:
    result = await handing.run(execution(), account())

    assert (result.outcome, result.said) == (KeyDistributionOutcome.DECLINED, f"{ID} does not exist, or was deleted.")
    assert vault.secrets == {}


async def test_secret_that_was_deleted_stays_deleted(handing: KeyDistributor, vault: Vault) -> None:
    put(vault)
    vault.secrets[NAME].deleted = True

    assert (await handing.run(execution(), account())).outcome is KeyDistributionOutcome.DECLINED
    assert shown(vault) == [(OLD, True)]


async def test_key_that_was_rotated_again_since_is_not_handed_over(
    handing: KeyDistributor, vault: Vault, arm: Arm
) -> None:
    put(vault)
    arm.key2 = THIRD

    result = await handing.run(execution(), account())

    assert (result.outcome, result.said) == (
        KeyDistributionOutcome.DECLINED,
        "key2 of robustmodels was rotated again since.",
    )
    assert shown(vault) == [(OLD, True)]


# done again: by a second run, or after one that was cut short


async def test_second_run_writes_nothing_and_says_so(handing: KeyDistributor, vault: Vault, arm: Arm) -> None:
    put(vault)
    await handing.run(execution(), account())
    before = shown(vault)

    again = await handing.run(execution(), account())

    assert shown(vault) == before == REPLACED
    assert (again.outcome, again.said, arm.asked) == (
        KeyDistributionOutcome.DONE,
        f"{ID} holds the new key2 in version {versions(vault)[1].version}; of the 0 enabled older versions looked "
        "at, none holds the old one.",
        1,
    )


async def test_old_version_that_was_left_enabled_is_disabled(handing: KeyDistributor, vault: Vault) -> None:
    old = put(vault)
    put(vault, NEW)

    done = await handing.run(execution(), account())

    assert shown(vault) == REPLACED
    assert done.outcome is KeyDistributionOutcome.DONE
    assert done.said.endswith(f"; version {old.version} with the old one is disabled.")


async def test_of_the_older_versions_only_those_with_the_old_key_are_disabled(
    handing: KeyDistributor, vault: Vault
) -> None:
    put(vault, THIRD, age=4)
    put(vault, OLD, age=3)
    put(vault, "something else", age=2)
    put(vault, OLD, age=1, enabled=False)
    put(vault, NEW)

    await handing.run(execution(), account())

    assert [version.enabled for version in versions(vault)] == [True, False, True, False, True]


async def test_what_is_newer_than_the_new_key_is_not_looked_at(
    handing: KeyDistributor, vault: Vault, wire: Wire
) -> None:
    put(vault, NEW)

    def meanwhile(request: HttpRequest) -> None:
        if "/versions" in request.url and len(versions(vault)) == 1:
            put(vault, OLD, age=-60)

    wire.before = meanwhile
    await handing.run(execution(), account())

    assert shown(vault) == [(NEW, True), (OLD, True)]


async def test_newest_versions_are_looked_at_and_no_more_than_a_few(
    handing: KeyDistributor, vault: Vault, wire: Wire
) -> None:
    for age in range(100, 60, -1):
        put(vault, THIRD, age=age)
    put(vault, OLD, age=1)
    put(vault, NEW)

    await handing.run(execution(), account())

    assert shown(vault)[-2:] == REPLACED
    assert wire.count("GET") == 1 + 2 + key_distribution._MOST_READ  # the current one, two pages, and the older ones


async def test_list_of_versions_ends_somewhere(
    handing: KeyDistributor, vault: Vault, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_vault, "_MOST_LISTED", 25)
    for age in range(100, 0, -1):
        put(vault, THIRD, age=age)
    put(vault, NEW)

    await handing.run(execution(), account())

    assert sum("/versions" in line for line in wire.lines) == 1


async def test_older_version_that_somebody_disables_meanwhile_is_done(
    handing: KeyDistributor, vault: Vault, wire: Wire
) -> None:
    old = put(vault)
    put(vault, NEW)

    def meanwhile(request: HttpRequest) -> None:
        if old.version in request.url:
            old.enabled = False

    wire.before = meanwhile

    assert (await handing.run(execution(), account())).outcome is KeyDistributionOutcome.DONE
    assert wire.count("PATCH") == 0


async def test_runs_side_by_side_write_one_version(handing: KeyDistributor, vault: Vault, wire: Wire) -> None:
    put(vault)
    send, writing, go = wire.send, asyncio.Event(), asyncio.Event()

    async def held(request: HttpRequest, **options: Any) -> AsyncHttpResponse:
        if request.method == "PUT":
            writing.set()
            await go.wait()
        return await send(request, **options)

    wire.send = held  # type: ignore[method-assign]
    first = asyncio.create_task(handing.run(execution(), account()))
    await writing.wait()
    second = asyncio.create_task(handing.run(execution(), account(ID.replace(NAME, NAME.upper()))))
    for _ in range(200):  # all the turns that it would need to come to a write of its own
        await asyncio.sleep(0)
    go.set()

    assert {(await run).outcome for run in (first, second)} == {KeyDistributionOutcome.DONE}
    assert shown(vault) == REPLACED
    assert wire.count("PUT") == 1


async def test_what_another_host_wrote_while_arm_was_asked_is_not_written_again(
    handing: KeyDistributor, vault: Vault, arm: Arm, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(vault)
    listing = arm.keys

    async def slow(asked: AccountFacts) -> dict[str, AccountKey]:
        put(vault, NEW)
        return await listing(asked)

    monkeypatch.setattr(handing, "_keys", slow)

    assert (await handing.run(execution(), account())).outcome is KeyDistributionOutcome.DONE
    assert shown(vault) == REPLACED
    assert wire.count("PUT") == 0


async def test_hosts_that_write_at_the_same_moment_leave_the_new_key_and_no_old_one(
    client: SecretClient, vault: Vault, arm: Arm, wire: Wire
) -> None:
    put(vault)
    writing = asyncio.Barrier(2)
    send = wire.send

    async def together(request: HttpRequest, **options: Any) -> AsyncHttpResponse:
        if request.method == "PUT":
            await writing.wait()
        return await send(request, **options)

    wire.send = together  # type: ignore[method-assign]
    hosts = [making(client, arm) for _ in range(2)]

    done = await asyncio.gather(*(host.run(execution(), account()) for host in hosts))

    assert {result.outcome for result in done} == {KeyDistributionOutcome.DONE}
    assert shown(vault) == [(OLD, False), (NEW, True), (NEW, True)]


# failures


FAILURES: dict[str, tuple[ASGIApp | AzureError, type[SasquashError]]] = {
    "408": (answering(408), TransientFailure),
    "429": (answering(429, Retry_After="0"), Throttled),
    "500": (answering(500), TransientFailure),
    "503": (answering(503, Retry_After="0"), TransientFailure),
    "reset": (ServiceRequestError("reset"), TransientFailure),
    "cut": (ServiceResponseError("cut"), TransientFailure),
    "400": (answering(400), Blocked),
    "409": (answering(409), Blocked),
}


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
@pytest.mark.parametrize("failure", FAILURES)
async def test_failure_is_told_and_the_next_run_does_what_is_left(
    handing: KeyDistributor, vault: Vault, wire: Wire, method: str, failure: str
) -> None:
    put(vault)
    (wire.instead, error), wire.method = FAILURES[failure], method

    with pytest.raises(error) as failed:
        await handing.run(execution(), account())

    assert type(failed.value) is error
    assert wire.count("PUT") == {"GET": 0, "PUT": 1, "PATCH": 1}[method]
    wire.instead = None
    assert (await handing.run(execution(), account())).outcome is KeyDistributionOutcome.DONE
    assert shown(vault) == REPLACED


async def test_write_that_is_refused_for_now_is_not_looked_for(
    handing: KeyDistributor, vault: Vault, wire: Wire
) -> None:
    put(vault)
    wire.instead, wire.method = answering(429, Retry_After="7"), "PUT"

    with pytest.raises(Throttled) as failed:
        await handing.run(execution(), account())

    assert failed.value.retry_after == 7
    assert wire.lines[-1].startswith("PUT")


async def test_write_that_did_not_happen_fails_with_what_key_vault_said(
    handing: KeyDistributor, vault: Vault, wire: Wire
) -> None:
    put(vault)
    wire.instead, wire.method = answering(503), "PUT"

    with pytest.raises(TransientFailure, match=f"Writing a version of {ID} failed: 503 Code"):
        await handing.run(execution(), account())


@pytest.mark.parametrize("instead", [answering(503), ServiceResponseError("cut")], ids=["503", "cut"])
async def test_answer_that_is_lost_costs_no_second_version(
    handing: KeyDistributor, vault: Vault, wire: Wire, instead: ASGIApp | AzureError
) -> None:
    put(vault)
    wire.instead, wire.method, wire.after = instead, "PUT", True

    assert (await handing.run(execution(), account())).outcome is KeyDistributionOutcome.DONE
    assert shown(vault) == REPLACED
    assert wire.count("PUT") == 1


async def test_answer_that_shows_no_new_key_disables_nothing(
    handing: KeyDistributor, vault: Vault, wire: Wire
) -> None:
    put(vault)
    wire.instead, wire.method = answering(200, {"value": OLD, "id": f"{ID}/{'0' * 32}"}), "PUT"

    with pytest.raises(TransientFailure, match="Key Vault answered, but not with the new key2"):
        await handing.run(execution(), account())

    assert shown(vault) == [(OLD, True)]


async def test_disabling_is_tried_again_at_once(handing: KeyDistributor, vault: Vault, wire: Wire) -> None:
    put(vault)
    wire.instead, wire.method = ServiceResponseError("cut"), "PATCH"

    def heal(_: HttpRequest) -> None:
        if wire.count("PATCH"):
            wire.instead = None

    wire.before = heal

    assert (await handing.run(execution(), account())).outcome is KeyDistributionOutcome.DONE
    assert shown(vault) == REPLACED


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
async def test_silence_ends_the_run(
    handing: KeyDistributor, vault: Vault, wire: Wire, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_distribution, "_DEADLINE", 0.2)
    put(vault)
    wire.instead, wire.method = asyncio.Event(), method

    with pytest.raises(TransientFailure, match="Handing key2 of robustmodels over took more than"):
        await handing.run(execution(), account())


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
async def test_redirect_is_not_followed(
    handing: KeyDistributor, vault: Vault, wire: Wire, method: str, status: int
) -> None:
    put(vault)
    wire.instead = answering(status, location="https://evil.example/")
    wire.method = method

    with pytest.raises(Blocked):
        await handing.run(execution(), account())

    assert all(f"https://{KEY_VAULT}." in line for line in wire.lines)


async def test_missing_right_needs_a_person_and_is_named(cloud: Cloud, entra: Entra, vault: Vault, arm: Arm) -> None:
    put(vault)
    wire = Wire(service.app(cloud, entra))
    powerless = Credential(entra, cloud.identities["reader"])
    async with SecretClient(f"https://{KEY_VAULT}.vault.azure.net", powerless, transport=wire) as client:
        with pytest.raises(Blocked) as refused:
            await making(client, arm).run(execution(), account())

    assert '403 ForbiddenByRbac: the app\'s identity lacks the role "Key Vault Secrets Officer"' in str(refused.value)
    assert f"on key vault {KEY_VAULT}" in str(refused.value)


@pytest.mark.parametrize("code", ["ForbiddenByFirewall", "ForbiddenByConnection"])
async def test_closed_vault_needs_a_person_and_is_told_apart(
    handing: KeyDistributor, vault: Vault, wire: Wire, code: str
) -> None:
    put(vault)
    wire.instead = answering(403, {"error": {"code": "Forbidden", "message": "m", "innererror": {"code": code}}})

    with pytest.raises(Blocked, match=f"403 {code}. Key vault {KEY_VAULT} is closed to the network"):
        await handing.run(execution(), account())


@pytest.mark.parametrize("body", [{}, {"error": {}}, {"error": {"innererror": None}}, {"error": "no"}, "text"])
async def test_refusal_without_a_reason_needs_a_person(
    handing: KeyDistributor, vault: Vault, wire: Wire, body: object
) -> None:
    put(vault)
    wire.instead = answering(403, body)

    with pytest.raises(Blocked, match="Key Vault Secrets Officer"):
        await handing.run(execution(), account())


async def test_arm_that_still_lists_the_old_key_is_asked_again_later(
    handing: KeyDistributor, vault: Vault, arm: Arm
) -> None:
    put(vault)
    arm.key2 = OLD

    with pytest.raises(TransientFailure, match="ARM still lists the old key2 of robustmodels"):
        await handing.run(execution(), account())

    assert shown(vault) == [(OLD, True)]


async def test_account_that_is_gone_ends_the_run(handing: KeyDistributor, vault: Vault, arm: Arm) -> None:
    put(vault)
    arm.fails = AccountGone("Listing the keys of robustmodels failed: 404.")

    with pytest.raises(AccountGone):
        await handing.run(execution(), account())


async def test_secret_that_is_deleted_before_the_write_is_not_made_again(
    handing: KeyDistributor, vault: Vault, wire: Wire
) -> None:
    put(vault)

    def meanwhile(request: HttpRequest) -> None:
        vault.secrets[NAME].deleted = request.method == "PUT"

    wire.before = meanwhile

    with pytest.raises(Blocked, match="409"):
        await handing.run(execution(), account())

    assert shown(vault) == [(OLD, True)]


# secrets


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH"])
@pytest.mark.parametrize("status", [200, 400, 403, 409, 429, 500])
async def test_no_failure_repeats_a_key_or_what_key_vault_said(
    handing: KeyDistributor, vault: Vault, wire: Wire, method: str, status: int
) -> None:
    put(vault)
    said = {"error": {"code": OLD, "message": f"the key is {NEW}", "innererror": {"code": NEW}}}
    wire.instead, wire.method = answering(status, said), method

    try:
        told = repr(await handing.run(execution(), account()))
    except SasquashError as failed:
        told = f"{failed} {failed!r}"

    assert not any(key.rstrip("=") in told for key in (OLD, NEW))


async def test_nothing_of_the_secret_is_logged_or_recorded(
    handing: KeyDistributor, vault: Vault, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    put(vault, connection_string(OLD))

    done = await handing.run(execution(), account(form="connection-string"))

    assert done.outcome is KeyDistributionOutcome.DONE
    assert not any(key.rstrip("=") in f"{caplog.text} {done!r}" for key in (OLD, NEW))


# clouds


@pytest.mark.parametrize("name", list(CloudName))
def test_each_cloud_says_where_its_vaults_are(name: CloudName) -> None:
    assert CLOUDS[name].key_vault_suffix.startswith("vault.")


def test_old_and_new_key_are_what_the_pull_says() -> None:
    assert (execution().old_sha256, execution().new_sha256) == (key_sha256(OLD), key_sha256(NEW))
