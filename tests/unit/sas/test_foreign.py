"""Credentials of other services are named, and never taken for those of storage.

Their forms: Microsoft Learn, "Service Bus access control with Shared Access Signatures", "Control access to IoT Hub",
"Azure Cosmos DB: connection strings", "Batch: authenticate with shared key", "Logic Apps: secure access", "API
Management: authenticate to the direct management API".
"""

import base64
import hashlib
from urllib.parse import quote

import pytest

from shared.sas import extract
from shared.sas.foreign import OtherService, foreign_credentials
from tests.support.strings_to_sign import HOST, KEYS, container_url, signature

KEY = base64.b64encode(bytes((i * 37 + 11) % 256 for i in range(64))).decode()
SIG = quote(signature("x"), safe="")
SHORT = signature("y")

TEXTS = {
    OtherService.SERVICE_BUS: f"SharedAccessSignature sr=https%3a%2f%2fx.servicebus.windows.net&sig={SIG}&se=1&skn=R",
    OtherService.IOT_HUB: f"HostName=x.azure-devices.net;SharedAccessKeyName=device;SharedAccessKey={SHORT}",
    OtherService.COSMOS_DB: f"AccountEndpoint=https://x.documents.azure.com:443/;AccountKey={KEY};",
    OtherService.BATCH: f"https://x.westeurope.batch.azure.com key={KEY}",
    OtherService.LOGIC_APPS: f"https://prod-2.eastus.logic.azure.com/workflows/a?sp=%2Frun&sv=1.0&sig={SIG}",
    OtherService.API_MANAGEMENT: f"Authorization: SharedAccessSignature integration&202712010000&{KEY}",
}


@pytest.mark.parametrize("service", TEXTS)
def test_credential_of_another_service_is_named(service: OtherService) -> None:
    assert [each.service for each in foreign_credentials(TEXTS[service])] == [service]


@pytest.mark.parametrize("service", TEXTS)
def test_credential_of_another_service_is_no_credential_of_storage(service: OtherService) -> None:
    assert extract(TEXTS[service]) == ()


def test_hash_is_that_of_the_keys_bytes_or_the_signatures_text() -> None:
    [key] = foreign_credentials(TEXTS[OtherService.COSMOS_DB])
    [sig] = foreign_credentials(TEXTS[OtherService.LOGIC_APPS])

    assert key.sha256 == hashlib.sha256(base64.b64decode(KEY)).hexdigest()
    assert sig.sha256 == hashlib.sha256(signature("x").encode()).hexdigest()


def test_each_is_named_once_where_it_stands_first() -> None:
    text = f"\n{TEXTS[OtherService.BATCH]}\n{TEXTS[OtherService.BATCH]}"

    assert [each.at for each in foreign_credentials(text)] == [text.index(KEY)]


@pytest.mark.parametrize("text", [container_url(), f"https://{HOST}/ key={KEYS['key1']}", "x.documents.azure.com"])
def test_credential_of_storage_is_not_named(text: str) -> None:
    assert foreign_credentials(text) == ()


def test_placeholder_is_not_named() -> None:
    assert foreign_credentials(f"x.documents.azure.com AccountKey={'x' * 86}==") == ()
