"""Checks whether the leaked path can be read without a token: one anonymous request.

ARM returns how public a container is configured to be; only the service shows whether it answers. REST: Get Blob
Properties, List Blobs, "Configure anonymous read access for containers and blobs".
"""

from collections.abc import Callable

from azure.core.exceptions import AzureError
from azure.core.rest import HttpRequest

from shared.cloud.data_plane import Transport, quoted_path, send
from shared.domain.account import AccountFacts
from shared.domain.revocation import Revocation
from shared.domain.text import Foreign, RichText
from shared.sas import Service

_VERSION = "2021-12-02"
_LONGEST = 200  # characters of a path that are shown


async def anonymous_access(
    new_transport: Callable[[], Transport], revocation: Revocation, account: AccountFacts
) -> tuple[RichText, ...]:
    """Return a sentence if the leaked path answers without a token, or could not be checked; else nothing.

    For a container, it asks for the name of one blob. The request goes to the endpoint that ARM names, never to a
    leaked host.
    """
    credential, endpoint = revocation.finding.credential, account.endpoints.get(Service.BLOB)
    if credential is None or credential.path is None or credential.service is not Service.BLOB or endpoint is None:
        return ()
    path = credential.path.strip("/")
    quoted, segments = quoted_path(path), path.split("/")
    if quoted is None or "" in segments or not endpoint.startswith("https://"):
        return ()
    url, shown = f"{endpoint}{quoted}", Foreign(credential.path, limit=_LONGEST)
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
        why = f"no answer ({type(error).__name__})"
        return (RichText.of(f"Not checked whether {shown} can be read without a token: {why}."),)
    if answer.status != 200:
        return ()
    return (RichText.of(f"STILL EXPOSED: {shown} can be read without a token. Make its container private."),)
