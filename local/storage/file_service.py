"""The file service, limited to access: shares with their access policies, without files.

Azurite has no file service. Sources: "Create Share", "Get Share Properties", "Delete Share", "Get Share ACL", "Set
Share ACL", "Create a service SAS", "Create an account SAS" (learn.microsoft.com/rest/api/storageservices). It has
no leases, no snapshots, and no access with tokens of Entra ID.
"""

import re
import uuid
from email.utils import format_datetime

from starlette.responses import Response
from starlette.types import Receive

from local.storage import access_policies
from local.storage.access import Credentials, StorageRequest, unauthenticated
from local.storage.access_policies import Grant
from local.storage.acl import require_shared_key
from local.storage.errors import Refusal, server_name
from local.storage.forwarding import key_of, whole_body_of
from local.storage.sas.admission import policy_key
from local.tenant.model import Account, Share, now

_SHARE_NAME = re.compile(r"(?=.{3,63}$)[a-z0-9](?:-?[a-z0-9])*")  # "Naming and referencing shares, directories, …"
_LARGEST_BODY = 64 * 1024
_METADATA = "x-ms-meta-"
QUOTA = 5120  # GiB
# By method: any of these permissions suffices. Listing the files of a directory needs "l".
_REQUIRED = {"GET": "r", "HEAD": "r", "OPTIONS": "r", "PUT": "cw", "DELETE": "d"}


async def answer(request: StorageRequest, account: Account, allowed: Grant | None, receive: Receive) -> Response:
    """Answer a request to the file service. `allowed` is what its SAS allows, if it has one. Raises Refusal."""
    name, _, path = request.decoded_path.strip("/").partition("/")
    _authorize(request, account, allowed, path)
    body = await whole_body_of(receive, most=_LARGEST_BODY)
    if not name:
        raise Refusal("NotImplemented")
    if request.parameter("restype") == "share" and not path:
        return _on_share(request, account, name, body)
    if name not in account.shares:
        raise Refusal("ShareNotFound")
    raise Refusal("ResourceNotFound" if request.method in ("GET", "HEAD", "DELETE") else "NotImplemented")


def create(account: Account, name: str) -> Share:
    """Create a share without policies. Raises Refusal: InvalidResourceName, ShareAlreadyExists."""
    if not _SHARE_NAME.fullmatch(name):
        raise Refusal("InvalidResourceName")
    if name in account.shares:
        raise Refusal("ShareAlreadyExists")
    share = Share(name, last_modified=now(), etag=_new_etag())
    account.shares[name] = share
    return share


def change(share: Share) -> None:
    """Set the time and ETag of a change to the share or its policies."""
    share.last_modified, share.etag = now(), _new_etag()


def delete(account: Account, name: str) -> None:
    """Delete a share and its policies, if it exists."""
    account.shares.pop(name, None)
    account.policies.pop(policy_key("file", name), None)


def _on_share(request: StorageRequest, account: Account, name: str, body: bytes) -> Response:
    comp = request.parameter("comp")
    if comp is None and request.method == "PUT":
        return _answer(201, request, create(account, name))
    share = account.shares.get(name)
    if share is None:
        raise Refusal("ShareNotFound")
    key = policy_key("file", name)
    match comp, request.method:
        case None, "GET" | "HEAD":
            return _answer(200, request, share, headers={"x-ms-share-quota": str(QUOTA)} | share.metadata)
        case None, "DELETE":
            delete(account, name)
            return _answer(202, request)
        case "metadata", "PUT":
            given = request.headers.items()
            share.metadata = {header: value for header, value in given if header.startswith(_METADATA)}
            change(share)
            return _answer(200, request, share)
        case "acl", "GET" | "HEAD":
            document = access_policies.render(account.policies.get(key, ()))
            return _answer(200, request, share, body=document if request.method == "GET" else b"")
        case "acl", "PUT":
            account.policies[key] = access_policies.parse(body, "file")
            change(share)
            return _answer(200, request, share)
        case _:
            raise Refusal("NotImplemented")


def _authorize(request: StorageRequest, account: Account, allowed: Grant | None, path: str) -> None:
    """Return if the request is authorized. Raises Refusal."""
    if request.acl_of is not None:
        require_shared_key(request)
    credentials = request.credentials
    if credentials is Credentials.SHARED_KEY:
        if key_of(request, account) is None:
            raise unauthenticated(request)
        return
    if allowed is None:
        raise unauthenticated(request)
    is_listing = request.parameter("comp") == "list"
    if credentials is Credentials.ACCOUNT_SAS:
        level = "o" if path else "c" if request.parameter("restype") == "share" else "s"
        if level not in (request.parameter("srt") or ""):
            raise Refusal("AuthorizationResourceTypeMismatch")
    elif request.parameter("restype") == "share":
        raise Refusal("AuthorizationPermissionMismatch")  # the share itself needs an account SAS
    needed = "l" if is_listing else _REQUIRED.get(request.method, "")
    if not set(needed) & set(allowed.permission):
        raise Refusal("AuthorizationPermissionMismatch")


def _answer(
    status: int,
    request: StorageRequest,
    share: Share | None = None,
    *,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
) -> Response:
    moment = now()
    common = {
        "date": format_datetime(moment, usegmt=True),
        "server": server_name("file"),
        "x-ms-request-id": str(uuid.uuid4()),
        "x-ms-version": request.headers.get("x-ms-version", "2019-02-02"),
    }
    if share is not None:
        common |= {"etag": share.etag, "last-modified": format_datetime(share.last_modified, usegmt=True)}
    return Response(body, status, common | (headers or {}), "application/xml" if body else None)


def _new_etag() -> str:
    return f'"0x{uuid.uuid4().hex[:15].upper()}"'
