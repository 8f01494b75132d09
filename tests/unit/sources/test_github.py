"""GitHub webhooks (pure), and GitHub alerts, over the stand-in of its API."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from local.reporters import github as local_github
from local.reporters.reports import REPOSITORY
from shared.domain.alert import AlertReference, AlertSource
from shared.domain.alert_match import Closing, Doubt
from shared.errors import Blocked, NotFound, TransientFailure
from shared.sources import github
from shared.sources.entries import Alert, Invalid, Skip, Skipped
from tests.support import samples
from tests.support.alerts import revoked_leak
from tests.support.asgi import Transport
from tests.support.github_api import ALERT, FOUND, Place, opened
from tests.support.intake import github_payload

TYPES = ("azure_sas_token", "azure_storage_account_key")


# Webhooks


@pytest.mark.parametrize("event", github.EVENTS)
@pytest.mark.parametrize("action", ["created", "reopened", "publicly_leaked"])
def test_webhook_names_an_alert(event: str, action: str) -> None:
    entry = github.read(event, github_payload(action=action), types=TYPES)

    assert entry == Alert(AlertReference(AlertSource.GITHUB, "contoso/x", "42"))


@pytest.mark.parametrize("action", ["resolved", "revoked", "validated", None, 7, []])
def test_changes_of_an_alert_are_ignored(action: object) -> None:
    assert github.read(github.EVENTS[0], github_payload(action=action), types=TYPES) == Skipped(Skip.OTHER_EVENT)


@pytest.mark.parametrize("event", ["ping", "push", ""])
def test_other_webhooks_are_ignored(event: str) -> None:
    assert github.read(event, github_payload(), types=TYPES) == Skipped(Skip.OTHER_EVENT)


def test_secrets_of_other_services_are_ignored() -> None:
    alert = {"number": 42, "secret_type": "adafruit_io_key"}

    assert github.read(github.EVENTS[0], github_payload(alert=alert), types=TYPES) == Skipped(Skip.OTHER_SECRET)


@pytest.mark.parametrize(
    "payload",
    [
        7,
        github_payload(repository={}),
        github_payload(repository={"full_name": "contoso/x/../y"}),
        github_payload(repository={"full_name": "contoso/.."}),
        github_payload(repository={"full_name": "contoso/x?y"}),
        github_payload(repository={"full_name": "https://evil.example"}),
        github_payload(alert={"number": "42", "secret_type": TYPES[0]}),
        github_payload(alert={"number": True, "secret_type": TYPES[0]}),
        github_payload(alert={"number": -1, "secret_type": TYPES[0]}),
        github_payload(alert={"secret_type": TYPES[0]}),
    ],
)
def test_webhook_without_an_alert_is_invalid(payload: object) -> None:
    assert isinstance(github.read(github.EVENTS[0], payload, types=TYPES), Invalid)


# The API


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with opened() as there:
        yield there


@pytest.mark.parametrize("leak", [samples.account_sas(), samples.blob_sas(), samples.queue_sas()])
async def test_host_of_a_bare_token_is_read_from_the_surrounding_lines(place: Place, leak: str) -> None:
    place.alert(leak)
    [finding] = await place.github().read(ALERT, FOUND)

    assert finding.credential == samples.leak(leak)
    assert (finding.source, finding.alert) == ("github", ALERT)
    assert finding.url == f"https://github.com/{REPOSITORY}/security/secret-scanning/1"


async def test_secret_with_its_host_needs_no_file(place: Place) -> None:
    leak = samples.connection_string()
    place.alert(leak)
    [finding] = await place.github().read(ALERT, FOUND)

    assert finding.credential == samples.leak(leak)
    assert place.calls("locations") == []


async def test_other_secrets_in_the_surrounding_lines_are_ignored(place: Place) -> None:
    alert = place.alert(samples.account_sas())
    alert.file += f"\n{samples.blob_sas()}\n"
    found = await place.github().read(ALERT, FOUND)

    assert [finding.credential for finding in found] == [samples.leak(samples.account_sas())]


async def test_token_in_no_file_is_an_unattributed_finding(place: Place) -> None:
    place.alert(samples.account_sas()).file = ""
    [finding] = await place.github().read(ALERT, FOUND)

    assert finding.credential is not None
    assert finding.credential.host is None


async def test_secret_of_another_kind_has_no_finding(place: Place) -> None:
    place.alert(samples.account_sas()).secret = "hello"

    assert await place.github().read(ALERT, FOUND) == ()


async def test_alert_with_a_hidden_secret_is_blocked(place: Place) -> None:
    place.alert(samples.account_sas()).secret = ""

    with pytest.raises(Blocked, match="GitHub alert 1 of contoso/robust-models has no secret"):
        await place.github().read(ALERT, FOUND)


async def test_missing_alert_is_not_found(place: Place) -> None:
    place.alert(samples.account_sas())

    with pytest.raises(NotFound):
        await place.github().read(AlertReference(AlertSource.GITHUB, REPOSITORY, "7"), FOUND)


async def test_repository_without_the_app_is_not_found(place: Place) -> None:
    with pytest.raises(NotFound):
        await place.github().read(AlertReference(AlertSource.GITHUB, "fabrikam/x", "1"), FOUND)


async def test_installation_token_is_cached_by_permissions(place: Place) -> None:
    place.alert(samples.account_sas())
    now = datetime.now(UTC)
    there = place.github(clock=lambda: now)
    await there.read(ALERT, FOUND)
    await there.read(ALERT, FOUND)
    assert len(place.calls("access_tokens")) == 1
    await there.close(ALERT, "Revoked.", revoked=revoked_leak())
    assert len(place.calls("access_tokens")) == 2
    now += timedelta(minutes=56)
    with pytest.raises(Blocked):  # by a clock that runs ahead, what the app signs is of the future
        await there.read(ALERT, FOUND)
    assert len(place.calls("/robust-models/installation")) == 3


async def test_invalid_private_key_is_blocked_and_not_quoted(place: Place) -> None:
    place.alert(samples.account_sas())
    place.key = "not a key at all"

    with pytest.raises(Blocked, match="SASQUASH_GITHUB_PRIVATE_KEY") as raised:
        await place.github().read(ALERT, FOUND)
    assert "not a key" not in str(raised.value)
    assert place.wire.sent == []


async def test_private_key_is_accepted_in_one_line(place: Place) -> None:
    import base64

    place.alert(samples.account_sas())
    place.key = base64.b64decode(place.key).decode().replace("\n", "\\n")

    assert await place.github().read(ALERT, FOUND)


async def test_key_of_another_app_is_refused(place: Place) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    place.key = other.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    place.alert(samples.account_sas())

    with pytest.raises(Blocked, match="401"):
        await place.github().read(ALERT, FOUND)


# Closing


async def test_alert_is_resolved_as_revoked_with_a_comment(place: Place) -> None:
    alert = place.alert(samples.account_sas())
    closing = await place.github().close(ALERT, "Revoked.", revoked=revoked_leak())

    assert (alert.state, alert.resolution, alert.comment) == ("resolved", "revoked", "Revoked.")
    assert closing == Closing("GitHub alert 1 of contoso/robust-models was resolved as revoked.", closed=True)


async def test_alert_closed_with_another_resolution_is_resolved_as_revoked(place: Place) -> None:
    alert = place.alert(samples.account_sas())
    alert.state, alert.resolution = "resolved", "false_positive"
    await place.github().close(ALERT, "Revoked.", revoked=revoked_leak())

    assert alert.resolution == "revoked"


async def test_alert_resolved_as_revoked_is_not_changed(place: Place) -> None:
    alert = place.alert(samples.account_sas())
    alert.state, alert.resolution, alert.comment = "resolved", "revoked", "By hand."
    await place.github().close(ALERT, "Revoked.", revoked=revoked_leak())

    assert alert.comment == "By hand."
    assert not [call for call in place.calls() if call.startswith("PATCH")]


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        (samples.blob_sas(), Doubt.ANOTHER_LEAK),
        (samples.account_sas(permissions="r"), Doubt.ANOTHER_LEAK),
        (f"{samples.account_sas()} {samples.blob_sas()}", Doubt.MORE_LEAKS),
        ("hello", Doubt.UNREADABLE),
        ("", Doubt.HIDDEN),
    ],
)
async def test_alert_with_another_secret_is_left_open(place: Place, secret: str, why: Doubt) -> None:
    alert = place.alert(samples.account_sas())
    alert.secret = secret
    closing = await place.github().close(ALERT, "Revoked.", revoked=revoked_leak())

    assert closing == Closing(f"GitHub alert 1 of {REPOSITORY} was left open: {why}.", closed=False)
    assert (alert.state, alert.comment) == ("open", None)
    assert not [call for call in place.calls() if call.startswith("PATCH")]


async def test_alert_whose_secret_is_encoded_otherwise_is_resolved(place: Place) -> None:
    alert = place.alert(samples.account_sas())
    alert.secret = quote(samples.account_sas(), safe="")

    assert (await place.github().close(ALERT, "Revoked.", revoked=revoked_leak())).closed


@pytest.mark.parametrize(
    "changed",
    [{"number": 2}, {"url": "https://api.github.com/repos/contoso/y/secret-scanning/alerts/1"}, {"url": None}],
)
async def test_answer_about_another_alert_closes_nothing(place: Place, changed: dict[str, object]) -> None:
    """github/rest-api-description, secret-scanning-alert: `number`, and `url`, "The REST API URL of the alert"."""
    alert = place.alert(samples.account_sas())
    described = local_github._described(alert) | changed

    class Answers:
        async def call(self, method: str, path: str, **_: object) -> object:
            assert method == "GET", "nothing is changed"
            return described

    class SignedIn:
        async def headers(self, *_: object) -> dict[str, str]:
            return {}

    there = github.GitHub(
        Answers(),  # type: ignore[arg-type]
        graphql=Answers(),  # type: ignore[arg-type]
        reading=None,
        closing=SignedIn(),  # type: ignore[arg-type]
        base_url="https://api.github.com",
    )

    assert not (await there.close(ALERT, "Revoked.", revoked=revoked_leak())).closed


async def test_alert_is_left_open_without_an_app_that_closes(place: Place) -> None:
    alert = place.alert(samples.account_sas())
    closing = await place.github(closes=False).close(ALERT, "Revoked.", revoked=revoked_leak())

    assert "SASQUASH_GITHUB_CLOSING_APP is not set" in closing.said
    assert (closing.closed, alert.state, place.wire.sent) == (False, "open", [])


async def test_app_that_reads_cannot_close(place: Place) -> None:
    """ "Generating an installation access token": no permission beyond those of the App."""
    place.alert(samples.account_sas())
    there = place.github()
    there._closing = there._reading

    with pytest.raises(Blocked, match="422"):
        await there.close(ALERT, "Revoked.", revoked=revoked_leak())


async def test_closing_needs_no_right_on_the_contents(place: Place) -> None:
    place.alert(samples.account_sas())
    await place.github().close(ALERT, "Revoked.", revoked=revoked_leak())

    assert place.calls("/git/blobs") == place.calls("/locations") == []


async def test_app_that_only_closes_reads_no_alert(place: Place) -> None:
    place.alert(samples.account_sas())
    there = place.github()
    there._reading = None

    with pytest.raises(Blocked, match="SASQUASH_GITHUB_APP is not set"):
        await there.read(ALERT, FOUND)


async def test_response_without_json_is_a_transient_failure(place: Place) -> None:
    from starlette.responses import Response

    wire = Transport(Response("<html>", media_type="text/html"))
    place.wire = wire

    with pytest.raises(TransientFailure, match="not JSON"):
        await place.github().read(ALERT, FOUND)
