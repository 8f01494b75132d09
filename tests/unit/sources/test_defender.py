"""Defender's alerts: what is posted (pure), and what Graph says of them, over the stand-in of Graph."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy

from local.entra.service import Entra
from local.graph import security, service
from local.tenant import identities
from local.tenant.model import Cloud
from local.tenant.senders import DefenderAlert
from shared.cloud.http import Rest
from shared.domain.alert import AlertReference, AlertSource
from shared.domain.alert_match import Closing, Doubt, Revoked
from shared.domain.target import ActionKind
from shared.errors import Blocked, NotFound, TransientFailure
from shared.sources import defender
from shared.sources.defender import Defender
from shared.sources.entries import Alert, Invalid, Skip, Skipped
from shared.sources.findings import Found
from tests.support import samples
from tests.support.alerts import revoked_leak
from tests.support.asgi import Credential, Transport

NAME, PROVIDERS_NAME = "dc0f9f4e1a-1", "2518000_77"
ALERT = AlertReference(AlertSource.DEFENDER, "", NAME)
BY_PROVIDER = AlertReference(AlertSource.DEFENDER, "", PROVIDERS_NAME)
FOUND = Found(lambda: datetime.now(UTC))
AUTOMATION = {"AlertType": "Storage.Blob_AccountSas.UnusualExternalAccess", "SystemAlertId": PROVIDERS_NAME}


def test_alerts_of_graph_and_of_an_automation_are_named() -> None:
    assert defender.read({"id": NAME, "serviceSource": "x"}) == [Alert(ALERT)]
    assert defender.read(AUTOMATION) == [Alert(BY_PROVIDER)]


def test_page_of_alerts_has_one_entry_for_each() -> None:
    entries = defender.read({"value": [{"id": NAME}, 7, AUTOMATION | {"AlertType": "Storage.Blob_TorAnomaly"}, {}]})

    assert entries[0] == Alert(ALERT)
    assert isinstance(entries[1], Invalid)
    assert entries[2] == Skipped(Skip.OTHER_EVENT)
    assert isinstance(entries[3], Invalid)


@pytest.mark.parametrize(
    "payload", [7, [], {"id": 7}, {"id": "../x"}, {"id": "x" * 101}, AUTOMATION | {"SystemAlertId": None}]
)
def test_payload_without_an_alert_is_invalid(payload: object) -> None:
    assert [type(entry) for entry in defender.read(payload)] == [Invalid]


@dataclass
class Place:
    cloud: Cloud
    entra: Entra
    wire: Transport

    def tool(self, identity: str = "responder") -> Defender:
        scope = "https://graph.microsoft.com/.default"
        policy = AsyncBearerTokenCredentialPolicy(Credential(self.entra, self.cloud.identities[identity]), scope)
        rest = Rest("https://graph.microsoft.com", self.wire, authentication=policy)
        return Defender(rest, lambda: datetime.now(UTC))

    def alert(self, **changed: Any) -> DefenderAlert:
        given = {
            "id": NAME,
            "provider_id": PROVIDERS_NAME,
            "account_id": samples.ACCOUNT_ID,
            "signed_with": "Key 2",
            "signature_sha256": "ab" * 32,
        }
        alert = DefenderAlert(**(given | changed))
        self.cloud.alerts.defender.append(alert)
        return alert


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    cloud = Cloud(identities=identities.directory(), users=identities.users())
    entra = Entra(cloud)
    wire = Transport(service.app(cloud, entra))
    yield Place(cloud, entra, wire)
    await wire.close()


@pytest.mark.parametrize("reference", [ALERT, BY_PROVIDER], ids=["its id", "its provider's id"])
async def test_alert_names_the_key_that_signed_the_token(place: Place, reference: AlertReference) -> None:
    made = place.alert()
    [finding] = await place.tool().read(reference, FOUND)

    evidence = finding.evidence
    assert evidence is not None
    assert (evidence.account, evidence.key) == (samples.ACCOUNT, "key2")
    assert (evidence.permissions, evidence.services) == (("Read", "Write", "List"), ("Blob",))
    assert (evidence.signature_sha256, evidence.seen_at) == ("ab" * 32, made.created_at.replace(microsecond=0))
    assert finding.order is not None
    assert (finding.order.action, finding.order.target) == (ActionKind.ACCOUNT_KEY, "key2")
    assert (finding.source, finding.alert, finding.credential) == ("defender", ALERT, None)


async def test_two_alerts_about_one_token_are_one_finding(place: Place) -> None:
    place.alert()
    place.alert(id="dc-2", provider_id="x", created_at=datetime.now(UTC) - timedelta(hours=1))
    first, second = [
        (await place.tool().read(AlertReference(AlertSource.DEFENDER, "", name), FOUND))[0] for name in (NAME, "dc-2")
    ]

    assert first.fingerprint == second.fingerprint
    assert first.alert != second.alert


@pytest.mark.parametrize("signed_with", ["key1", "Key1", "KEY 1", "storage key-1", "key_1"])
async def test_key_is_read_in_every_spelling(place: Place, signed_with: str) -> None:
    place.alert(signed_with=signed_with)
    [finding] = await place.tool().read(ALERT, FOUND)

    assert finding.order is not None
    assert finding.order.target == "key1"


@pytest.mark.parametrize(
    "changed",
    [
        {"signed_with": "User Delegation Key"},
        {"signed_with": "key12"},
        {"account_id": "/subscriptions/x"},
        {"account_id": samples.ACCOUNT_ID.replace("Microsoft.Storage", "Microsoft.Evil")},
    ],
)
async def test_alert_that_does_not_name_the_key_is_blocked(place: Place, changed: dict[str, str]) -> None:
    place.alert(**changed)

    with pytest.raises(Blocked, match="order the rotation of the key"):
        await place.tool().read(ALERT, FOUND)


async def test_malformed_hash_is_ignored(place: Place) -> None:
    place.alert(signature_sha256="deadbeef")
    [finding] = await place.tool().read(ALERT, FOUND)

    assert finding.evidence is not None
    assert finding.evidence.signature_sha256 is None


async def test_alert_unknown_to_graph_is_not_found(place: Place) -> None:
    place.alert(id="another", provider_id="another")

    with pytest.raises(NotFound):
        await place.tool().read(ALERT, FOUND)


async def test_missing_right_is_named(place: Place) -> None:
    place.alert()

    with pytest.raises(Blocked, match=r"SecurityAlert\.Read\.All"):
        await place.tool("reader").read(ALERT, FOUND)


# Closing


def revoked(**changed: Any) -> Revoked:
    """What a record revoked whose key2 was just regenerated."""
    return revoked_leak(**{"credential": None, "until": datetime.now(UTC) + timedelta(minutes=1)} | changed)


async def test_alert_is_commented_on_and_resolved_as_a_true_positive(place: Place) -> None:
    alert = place.alert()
    closing = await place.tool().close(ALERT, "Revoked.", revoked=revoked())

    assert (alert.status, alert.classification, alert.comments) == ("resolved", "truePositive", ["Revoked."])
    assert closing == Closing(f"Defender alert {NAME} was resolved as a true positive.", closed=True)


async def test_resolved_alert_gets_no_second_comment(place: Place) -> None:
    alert = place.alert()
    for _ in range(2):
        await place.tool().close(ALERT, "Revoked.", revoked=revoked())

    assert alert.comments == ["Revoked."]


async def test_alert_whose_resolution_failed_gets_no_second_comment(place: Place) -> None:
    alert, tool = place.alert(), place.tool()
    call = tool.rest.call

    class ResolvesNothing:
        async def call(self, method: str, *args: Any, **options: Any) -> object:
            if method == "PATCH":
                raise TransientFailure("No answer.")
            return await call(method, *args, **options)

    with pytest.raises(TransientFailure):
        await replace(tool, rest=ResolvesNothing()).close(ALERT, "Revoked.", revoked=revoked())  # type: ignore[arg-type]
    await tool.close(ALERT, "Revoked.", revoked=revoked())

    assert (alert.status, alert.comments) == ("resolved", ["Revoked."])


@pytest.mark.parametrize(
    ("alert", "of_record", "why"),
    [
        ({"signed_with": "Key 1"}, {}, Doubt.ANOTHER_KEY),
        ({"account_id": samples.ACCOUNT_ID.replace(samples.ACCOUNT, "fabrikamdata")}, {}, Doubt.ANOTHER_KEY),
        ({}, {"key": None}, Doubt.ANOTHER_KEY),
        ({}, {"until": datetime(2026, 1, 1, tzinfo=UTC)}, Doubt.USED_LATER),
        ({}, {"needs_token": True}, Doubt.ANOTHER_KEY),
        ({"signed_with": "User Delegation Key"}, {}, Doubt.UNNAMED_KEY),
        ({"account_id": "/subscriptions/x"}, {}, Doubt.UNNAMED_KEY),
    ],
)
async def test_alert_about_another_account_key_or_time_is_left_open(
    place: Place, alert: dict[str, str], of_record: dict[str, Any], why: Doubt
) -> None:
    made = place.alert(**alert)
    closing = await place.tool().close(ALERT, "Revoked.", revoked=revoked(**of_record))

    assert closing == Closing(f"Defender alert {NAME} was left open: {why}.", closed=False)
    assert (made.status, made.comments) == ("new", [])


@pytest.mark.parametrize("name", [None, "another"])
async def test_answer_about_another_alert_closes_nothing(place: Place, name: str | None) -> None:
    answer = security._described(place.alert()) | {"id": name} if name else None

    class Answers:
        async def call(self, method: str, *_: object, **__: object) -> object:
            assert method == "GET", "nothing is changed"
            return answer

    tool = Defender(Answers(), lambda: datetime.now(UTC))  # type: ignore[arg-type]

    closing = await tool.close(ALERT, "Revoked.", revoked=revoked())

    assert closing == Closing(f"Defender alert {NAME} was left open: {Doubt.ANOTHER_ALERT}.", closed=False)
