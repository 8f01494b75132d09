"""Which account and service a host name spells."""

import pytest

from shared.sas.hosts import is_foreign, is_host, locate, split_url, with_service
from shared.sas.kinds import Service


@pytest.mark.parametrize(
    ("host", "account", "service", "secondary"),
    [
        ("acct.blob.core.windows.net", "acct", Service.BLOB, False),
        ("acct-secondary.queue.core.windows.net", "acct", Service.QUEUE, True),
        ("acct.dfs.core.windows.net", "acct", Service.BLOB, False),
        ("acct.z6.web.core.windows.net", "acct", Service.BLOB, False),
        ("acct.table.core.usgovcloudapi.net", "acct", Service.TABLE, False),
        ("acct.file.core.chinacloudapi.cn", "acct", Service.FILE, False),
        ("acct.blob.core.cloudapi.de", "acct", Service.BLOB, False),
        ("acct.blob.core.eaglex.ic.gov", "acct", Service.BLOB, False),
        ("acct.blob.core.microsoft.scloud", "acct", Service.BLOB, False),
        ("acct.blob.core.evil.example", None, None, False),
        ("acct.z12.blob.storage.azure.net", "acct", Service.BLOB, False),
        ("acct-secondary.z12.blob.storage.azure.net", "acct", Service.BLOB, True),
        ("acct.privatelink.blob.core.windows.net", "acct", Service.BLOB, False),
        ("acct.z12.privatelink.blob.storage.azure.net", "acct", Service.BLOB, False),
        ("acct-microsoftrouting.blob.core.windows.net", "acct", Service.BLOB, False),
        ("acct-secondary-dualstack.blob.core.windows.net", "acct", Service.BLOB, True),
        ("acct-ipv6.blob.core.windows.net", "acct", Service.BLOB, False),
        ("devstoreaccount1.blob.localhost", "devstoreaccount1", Service.BLOB, False),
        ("cdn.contoso.example", None, None, False),
        ("acct.blob.core.windows.net.evil.example", None, None, False),
        ("blob.core.windows.net", None, None, False),
        ("acct.vault.azure.net", None, None, False),
    ],
)
def test_hosts(host: str, account: str | None, service: Service | None, *, secondary: bool) -> None:
    location = locate(host, None)
    assert (location.account, location.service, location.secondary) == (account, service, secondary)


@pytest.mark.parametrize(
    ("host", "path", "account", "inside"),
    [
        ("10.0.0.4", "acct/c/b", "acct", "c/b"),
        ("10.0.0.4", "acct-secondary/c", "acct", "c"),
        ("azurite", "acct", "acct", None),
        ("::1", "acct/c", "acct", "c"),
        ("10.0.0.4", "Not An Account/c", None, "Not An Account/c"),
        ("10.0.0.4", None, None, None),
        (None, "c/b", None, "c/b"),
        (None, None, None, None),
    ],
)
def test_path_style_urls(host: str | None, path: str | None, account: str | None, inside: str | None) -> None:
    location = locate(host, path)
    assert (location.account, location.path) == (account, inside)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://ACCT.Blob.core.windows.net:443/c/b?x#y", ("acct.blob.core.windows.net", "c/b")),
        ("https://user:secret@acct.example", ("acct.example", "")),
        ("http://[::1]:10000/acct", ("::1", "acct")),
        ("https://acct.example./c", ("acct.example", "c")),
        ("https://{account}.blob/c", (None, "c")),
        ("ftp://acct.example/c", (None, "")),
        ("https://", (None, "")),
        ("wasbs://data@acct.example/a/b", ("acct.example", "data/a/b")),
        ("ABFSS://data@acct.example", ("acct.example", "data/")),
        ("abfs://acct.example/a", ("acct.example", "a")),
    ],
)
def test_splitting_urls(url: str, address: tuple[str | None, str]) -> None:
    assert split_url(url) == address


@pytest.mark.parametrize("text", ["a.b", "localhost", "1.2.3.4", "::1", "x" * 63 + ".example", "a_b.example"])
def test_host_names(text: str) -> None:
    assert is_host(text)


@pytest.mark.parametrize(
    "text", ["", "A.b", "a b", "a/b", "a:80", "-a.b", "a..b", "x" * 64 + ".b", "a." * 127 + "b", "é.b"]
)
def test_no_host_names(text: str) -> None:
    assert not is_host(text)


@pytest.mark.parametrize("host", ["x.table.cosmos.azure.com", "x.documents.azure.com"])
def test_cosmos_is_foreign(host: str) -> None:
    assert is_foreign(host)


@pytest.mark.parametrize(
    ("host", "sister"),
    [
        ("acct.blob.core.windows.net", "acct.queue.core.windows.net"),
        ("acct.z12.table.storage.azure.net", "acct.z12.queue.storage.azure.net"),
        ("cdn.contoso.example", "cdn.contoso.example"),
        ("acct.queue.core.windows.net", "acct.queue.core.windows.net"),
    ],
)
def test_sister_hosts(host: str, sister: str) -> None:
    assert with_service(host, Service.QUEUE) == sister
