"""The tests of a deployment against the app in the local cloud: a leak of each kind, sign-in, a separate intake."""

from collections.abc import AsyncIterator

import pytest

from conformance import deployed, signed_in
from conformance.deployed import Deployment
from conformance.facts import OfDeployment
from local.cloud.cloud import LocalCloud, running
from local.tenant.model import CONSOLE_CLIENT_ID
from tests.support.local_place import LocalPlace, local_place


@pytest.fixture(scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalCloud]:
    async with running(folder=tmp_path_factory.mktemp("deployed"), hosts=1) as cloud:
        yield cloud


@pytest.fixture
async def place(app: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalPlace]:
    for name, value in app.environment.items():
        monkeypatch.setenv(name, value)
    async with local_place(app) as made:
        yield made


@pytest.fixture
def deployment(app: LocalCloud) -> Deployment:
    """The outputs of the deployment. The command prints the token of a responder."""
    api = app.environment["SASQUASH_API"]
    return Deployment(
        "test",
        {
            "SASQUASH_API": api,
            "SASQUASH_INTAKE": f"{api}/intake",
            "SASQUASH_API_CLIENT_ID": CONSOLE_CLIENT_ID,
            "SASQUASH_TOPIC_ENDPOINT": app.environment["SASQUASH_TOPIC_ENDPOINT"],
            "SASQUASH_TOKEN_COMMAND": 'printf %s "$SASQUASH_TOKEN_RESPONDER"',
        },
    )


@pytest.mark.parametrize(
    ("trial", "expected"),
    [
        (deployed.whole_revocation, "(AuthenticationFailed)"),
        (deployed.revocation_of_a_key, "(AuthenticationFailed)"),
        (deployed.revocation_of_a_policy, "the key that signed it is still accepted"),
        (signed_in.user_delegation, "(AuthenticationFailed)"),
    ],
    ids=["key-signed SAS", "account key", "SAS of a policy", "user delegation SAS"],
)
async def test_leak_of_each_kind_is_observed_to_be_refused(
    place: LocalPlace, deployment: Deployment, trial: OfDeployment, expected: str
) -> None:
    observed = await trial(place, deployment)

    assert observed.startswith("refused ")
    assert observed.endswith(expected)


async def test_token_of_the_command_is_of_version_2_and_accepted(place: LocalPlace, deployment: Deployment) -> None:
    assert await signed_in.token_command(place, deployment) == (
        f"version 2.0 for {CONSOLE_CLIENT_ID}; the API answers 200"
    )


async def test_token_for_another_audience_is_refuted(place: LocalPlace, deployment: Deployment) -> None:
    other = Deployment("test", {**deployment.outputs, "SASQUASH_API_CLIENT_ID": "api://sasquash"})

    with pytest.raises(ValueError, match="instead of"):
        await signed_in.token_command(place, other)


async def test_intake_that_answers_is_confirmed(place: LocalPlace, deployment: Deployment) -> None:
    assert await deployed.intake_apart(place, deployment) == "it started, and reaches its queue"


async def test_intake_whose_host_did_not_start_is_refuted(
    place: LocalPlace, deployment: Deployment, app: LocalCloud
) -> None:
    nowhere = Deployment("test", {**deployment.outputs, "SASQUASH_INTAKE": f"{app.hosts[0]}/nowhere/intake"})

    with pytest.raises(ValueError, match="its health is 404"):
        await deployed.intake_apart(place, nowhere)


async def test_chunked_request_is_observed(place: LocalPlace, deployment: Deployment) -> None:
    assert ": the request reached the app with" in await deployed.chunked_request(place, deployment)
