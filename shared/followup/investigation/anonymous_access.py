"""Whether what leaked can still be fetched without any token: one anonymous request to the leaked path.

ARM knows how public a container is meant to be; only the service itself knows whether it answers. REST: Get Blob
Properties, List Blobs, "Configure anonymous read access for containers and blobs".
"""

from collections.abc import Callable

from azure.core.exceptions import AzureError
from azure.core.rest import HttpRequest

from shared.cloud.data_plane import Transport, quoted_path, send
from shared.domain.account import AccountFacts
from shared.domain.revocation import Revocation
from shared.domain.text import clean
from shared.sas import Service

_VERSION = "2021-12-02"
_LONGEST = 200  # characters of a path that are told


async def answers_anybody(
    new_transport: Callable[[], Transport], revocation: Revocation, account: AccountFacts
) -> tuple[str, ...]:
    """Return a sentence where the leaked path answers without a token, or could not be asked; else nothing.

    A whole container is asked for one name. The request goes to the endpoint that ARM names, never to a leaked host.
    """
    credential, endpoint = revocation.finding.credential, account.endpoints.get(Service.BLOB)
    if credential is None or credential.path is None or credential.service is not Service.BLOB or endpoint is None:
        return ()
    path = credential.path.strip("/")
    quoted, segments = quoted_path(path), path.split("/")
    if quoted is None or "" in segments or not endpoint.startswith("https://"):
        return ()
    url, told = f"{endpoint}{quoted}", clean(credential.path, limit=_LONGEST)
    request = (
        HttpRequest("GET", f"{url}?restype=container&comp=list&maxresults=1")
        if len(segments) == 1
        else HttpRequest("HEAD", url)
    )
    request.headers["x-ms-version"] = _VERSION
    try:
        async with new_transport() as transport:
            answer = await send(transport, request)
    except AzureError as error:
        return (f"Nobody knows whether {told} answers without a token: no answer ({type(error).__name__}).",)
    if answer.status != 200:
        return ()
    return (
        f"What leaked is still open: {told} was just answered to Sasquash without any token. Close its container.",
    )
