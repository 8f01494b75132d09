"""The app and docs/openapi.yaml agree, whatever is sent: schemathesis tries it on the app's own routes."""

from local.network.listener import Listener
from shared.api.auth.access_tokens import Role
from tests.support import samples
from tests.support.api_requests import MemoryRevocations, awaiting
from tests.support.entra import token
from tests.support.http_functions import App, hosting
from tests.support.schemathesis import disagreements


async def test_responses_to_generated_requests_match_openapi() -> None:
    record = awaiting(samples.finding())
    with hosting(App(MemoryRevocations({record.fingerprint: record}))) as app:
        listener = Listener(app)
        await listener.start()
        try:
            found = await disagreements(
                f"http://127.0.0.1:{listener.port}/api", token=token(roles=list(Role)), examples=10
            )
        finally:
            await listener.stop()

    assert not found, found
