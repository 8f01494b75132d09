import ssl

import pytest
import trustme

from local.network.hostnames import CERTIFICATE_NAMES, StorageHost, is_known


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("models.blob.core.windows.net", StorageHost("models", "blob", is_secondary=False)),
        ("models-secondary.table.core.windows.net", StorageHost("models", "table", is_secondary=True)),
        ("models.dfs.core.windows.net", StorageHost("models", "dfs", is_secondary=False)),
        ("models.other.core.windows.net", None),
        (".blob.core.windows.net", None),
        ("models.blob.core.windows.net.evil.example", None),
        ("blob.core.windows.net", None),
    ],
)
def test_storage_host_is_read_from_its_name(host: str, expected: StorageHost | None) -> None:
    assert StorageHost.parse(host) == expected


@pytest.mark.parametrize(
    "host",
    [
        "management.azure.com",
        "login.microsoftonline.com",
        "sasquash.westeurope-1.eventgrid.azure.net",
        "my.vault.azure.net",
        "a.queue.core.windows.net",
    ],
)
def test_azure_hosts_are_known(host: str) -> None:
    assert is_known(host)


@pytest.mark.parametrize(
    "host", ["example.com", "azure.com", "eventgrid.azure.net", "evilvault.azure.net", "127.0.0.1", ""]
)
def test_other_hosts_are_unknown(host: str) -> None:
    assert not is_known(host)


def test_certificate_can_be_issued_for_all_names() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(*CERTIFICATE_NAMES).configure_cert(context)
    assert any(name == "*.westeurope-1.eventgrid.azure.net" for name in CERTIFICATE_NAMES)
