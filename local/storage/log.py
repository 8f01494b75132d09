"""The log line of a storage request (Azure Monitor Logs reference, "StorageBlobLogs").

The authentication hash is as documented: the name of the key and the SHA-256 of its bytes, and for a SAS the
SHA-256 of its decoded signature text ("Best practices for monitoring Azure Blob Storage"). The types of
authentication are those of the queries in that article and in "Prevent Shared Key authorization for an Azure Storage
account"; none is documented for a user delegation SAS, whose parameters are in the URI as those of any other SAS.
"""

import base64
import hashlib
import re
from urllib.parse import unquote

from local.storage.access import Credentials, StorageRequest
from local.storage.errors import Refusal
from local.storage.forwarding import key_of
from local.storage.sas.signing import signing_key
from local.storage.sas.token import read
from local.tenant.model import Account, StorageLogLine, now

# "Storage Analytics logged operations and status messages"; for shares, "Understand Azure Files billing".
_SET_ACL = {"blob": "SetContainerACL", "queue": "SetQueueACL", "table": "SetTableACL", "file": "SetShareACL"}
# The same page: of requests to a blob, and the list of those in a container.
_OF_BLOBS = {"GET": "GetBlob", "HEAD": "GetBlobProperties", "PUT": "PutBlob", "DELETE": "DeleteBlob"}
_TYPES = {
    Credentials.SHARED_KEY: "AccountKey",
    Credentials.ACCOUNT_SAS: "SAS",
    Credentials.SERVICE_SAS: "SAS",
    Credentials.DELEGATION_SAS: "SAS",
    Credentials.TOKEN: "OAuth",
    Credentials.NONE: "Anonymous",
}
_SIGNATURE = re.compile(r"((?:^|&)sig=)[^&]*", re.IGNORECASE)
_CATEGORIES = {"GET": "StorageRead", "HEAD": "StorageRead", "DELETE": "StorageDelete"}


def signed_by(request: StorageRequest, account: Account) -> str:
    """Return the AuthenticationHash of a request, by the current keys of the account."""
    credentials = request.credentials
    if credentials is Credentials.SHARED_KEY:
        return _key(account, key_of(request, account))
    if credentials in (Credentials.ACCOUNT_SAS, Credentials.SERVICE_SAS, Credentials.DELEGATION_SAS):
        signature = hashlib.sha256((request.parameter("sig") or "").encode()).hexdigest().upper()
        if credentials is Credentials.DELEGATION_SAS:
            return f"user-delegation({'0' * 64}),SasSignature({signature})"
        return f"{_key(account, _signer(request, account))},SasSignature({signature})"
    return ""


def line(
    request: StorageRequest, account: Account, signer: str, *, status: int, size: int, address: str
) -> StorageLogLine:
    """Return the log line of an answered request."""
    return StorageLogLine(
        account=account.name,
        at=now(),
        category=_CATEGORIES.get(request.method, "StorageWrite"),
        status=status,
        object_key=f"/{account.name}{unquote(request.path)}",
        address=address,
        agent=request.headers.get("user-agent", ""),
        authentication_hash=signer,
        response_size=size,
        operation=_operation(request),
        uri=_uri(request),
        request_id=request.headers.get("x-ms-client-request-id", ""),
        authentication_type=_TYPES[request.credentials],
    )


def _operation(request: StorageRequest) -> str:
    if request.acl_of is not None and request.method == "PUT":
        return _SET_ACL[request.host.service]
    if request.host.service != "blob":
        return ""
    if request.parameter("restype") == "container":
        return "ListBlobs" if request.parameter("comp") == "list" else ""
    is_blob = request.parameter("comp") is None and "/" in request.decoded_path.strip("/")
    return _OF_BLOBS.get(request.method, "") if is_blob else ""


def _uri(request: StorageRequest) -> str:
    """Return the URI with its port, as logs have it, and without the signature."""
    query = _SIGNATURE.sub(r"\1XXXXX", request.query)
    host = request.headers.get("host", "").removesuffix(":443")
    return f"https://{host}:443{request.path}" + (f"?{query}" if query else "")


def _signer(request: StorageRequest, account: Account) -> str | None:
    """Return the name of the current key that signed the SAS; None if none did."""
    try:
        return signing_key(read(request), account)
    except Refusal:
        return None


def _key(account: Account, name: str | None) -> str:
    if name not in account.accepted_keys:
        return ""
    return f"{name}({hashlib.sha256(base64.b64decode(account.accepted_keys[name])).hexdigest().upper()})"
