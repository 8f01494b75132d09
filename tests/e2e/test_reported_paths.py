"""A leak that a stranger reports first, with a wrong path, so that nobody can revoke it."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from azure.core.messaging import CloudEvent
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from local.tenant.model import Account
from shared.domain.report import REPORTED, in_text
from shared.domain.states import Reason, State
from tests.support.deployment import Deployment, is_closed
from tests.support.leaks import blob_sas, later


def container_sas(account: str, key: str) -> str:
    query = generate_container_sas(
        account, "models", account_key=key, permission=ContainerSasPermissions(read=True, write=True), expiry=later()
    )
    return f"https://{account}.blob.core.windows.net/models?{query}"


async def publish(deployment: Deployment, text: str, *, by: str) -> str:
    [reported] = in_text(text, source=by, url=f"https://example.com/{by}", detected_at=datetime.now(UTC))
    finding = reported.finding
    event = CloudEvent(source=f"/{by}", type=REPORTED, id=f"{by}-{finding.fingerprint}", data=finding.to_data())
    await deployment.publish(event)
    return finding.fingerprint


def key_of(account: Account) -> str:
    return account.keys["key1"]


@pytest.mark.parametrize("leak", [container_sas, blob_sas], ids=lambda leak: leak.__name__)
async def test_leak_that_a_stranger_reports_first_with_a_wrong_path_is_revoked(
    deployment: Deployment, leak: Callable[[str, str], str]
) -> None:
    account = await deployment.account()
    text = leak(account.name, key_of(account))
    fingerprint = await publish(deployment, text.replace("/models", "/wrongplace", 1), by="stranger")
    record = await deployment.settled(fingerprint)
    assert (record.state, record.reason) == (State.UNRESOLVED, Reason.NO_KEY_MATCHES)

    assert await publish(deployment, text, by="scanner") == fingerprint
    record = await deployment.settled(fingerprint, until=is_closed)

    assert (deployment.rotations(account), record.paths.verified) == (["key1"], True)
    assert record.finding.credential is not None
    assert record.finding.credential.container == "models"
    assert deployment.incident(fingerprint)["Status"] == "closed"
