import asyncio

import pytest

from local.cloud.cloud import LocalCloud

CONNECT = "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"


async def ask(cloud: LocalCloud, request: str) -> str:
    """Send `request` to the proxy; return the head of its response."""
    reader, writer = await asyncio.open_connection("127.0.0.1", cloud.proxy_port)
    try:
        writer.write(request.encode())
        return (await reader.readuntil(b"\r\n\r\n")).decode()
    finally:
        writer.close()


async def test_azure_host_gets_a_tunnel(cloud: LocalCloud) -> None:
    assert (await ask(cloud, CONNECT.format(target="graph.microsoft.com:443"))).startswith("HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "target",
    [
        "example.com:443",
        "management.azure.com:80",
        "127.0.0.1:443",
        "169.254.169.254:80",
        "management.azure.com",
        ":",
    ],
)
async def test_any_other_target_is_refused(cloud: LocalCloud, target: str) -> None:
    assert (await ask(cloud, CONNECT.format(target=target))).startswith("HTTP/1.1 403 ")


async def test_account_that_does_not_exist_does_not_resolve(cloud: LocalCloud) -> None:
    answer = await ask(cloud, CONNECT.format(target="nosuchaccount.blob.core.windows.net:443"))
    assert answer.startswith("HTTP/1.1 502 ")


async def test_secondary_endpoint_of_an_account_gets_a_tunnel(cloud: LocalCloud) -> None:
    answer = await ask(cloud, CONNECT.format(target="sasquashstate-secondary.blob.core.windows.net:443"))
    assert answer.startswith("HTTP/1.1 200 ")


async def test_plain_http_is_refused(cloud: LocalCloud) -> None:
    answer = await ask(cloud, "GET http://management.azure.com/ HTTP/1.1\r\nHost: management.azure.com\r\n\r\n")
    assert answer.startswith("HTTP/1.1 405 ")


async def test_head_without_end_is_refused(cloud: LocalCloud) -> None:
    assert (await ask(cloud, "CONNECT " + "x" * 20_000)).startswith("HTTP/1.1 431 ")
