"""The blob service in memory: containers and small block blobs, for dead letters and the functions host.

Source: REST, "Put Blob", "Get Blob", "List Blobs", "Delete Blob", "Lease Blob", "Blob service error codes".
"""

import base64
import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

from local.memory.errors import ServiceError, not_modeled
from local.memory.exchange import Answer, Request


@dataclass(slots=True)
class Blob:
    """A blob, perhaps with a lease."""

    content: bytes = field(repr=False)
    content_type: str
    etag: str
    modified: datetime
    metadata: dict[str, str]
    lease: str | None = None
    leased_until: datetime | None = None  # None with a lease: infinite


class Blobs:
    """The containers of one account."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._writes = 0
        self.containers: dict[str, dict[str, Blob]] = {}

    def create(self, name: str) -> None:
        """Create a container if it does not exist."""
        self.containers.setdefault(name, {})

    def answer(self, request: Request) -> Answer:
        """Answer a request. Raises ServiceError."""
        container, _, name = unquote(request.path).lstrip("/").partition("/")
        query = dict(parse_qsl(request.query, keep_blank_values=True))
        if not name:
            return self._on_container(request, container, query)
        if container not in self.containers:
            raise ServiceError(404, "ContainerNotFound", "The specified container does not exist.")
        blobs = self.containers[container]
        if query.get("comp") == "lease":
            return self._lease(request, self._found(blobs, name))
        if request.method == "PUT" and "comp" not in query:
            return self._put(request, blobs, name)
        if request.method in ("GET", "HEAD") and "comp" not in query:
            return self._read(request, self._found(blobs, name))
        if request.method == "GET" and query["comp"] == "metadata":
            return Answer(200, {f"x-ms-meta-{k}": v for k, v in self._found(blobs, name).metadata.items()})
        if request.method == "DELETE":
            self._require_lease(request, self._found(blobs, name))
            del blobs[name]
            return Answer(202)
        raise not_modeled(f"{request.method} on a blob")

    def _on_container(self, request: Request, name: str, query: dict[str, str]) -> Answer:
        if query.get("restype") != "container":
            raise not_modeled(f"{request.method} on the blob service")
        if request.method == "PUT" and "comp" not in query:
            if name in self.containers:
                raise ServiceError(409, "ContainerAlreadyExists", "The specified container already exists.")
            self.containers[name] = {}
            return Answer(201)
        if name not in self.containers:
            raise ServiceError(404, "ContainerNotFound", "The specified container does not exist.")
        if request.method == "DELETE":
            del self.containers[name]
            return Answer(202)
        if request.method == "GET" and query.get("comp") == "list":
            return self._listed(name, query)
        raise not_modeled(f"{request.method} on a container")

    def _listed(self, container: str, query: dict[str, str]) -> Answer:
        prefix, after = query.get("prefix", ""), query.get("marker", "")
        most = int(query.get("maxresults", 5000))
        names = sorted(n for n in self.containers[container] if n.startswith(prefix) and n >= after)
        following = names[most] if len(names) > most else ""
        items = "".join(self._item(name, self.containers[container][name]) for name in names[:most])
        body = (
            '<?xml version="1.0" encoding="utf-8"?>'
            f'<EnumerationResults ContainerName="{escape(container)}"><Blobs>{items}</Blobs>'
            f"<NextMarker>{escape(following)}</NextMarker></EnumerationResults>"
        )
        return Answer(200, {"content-type": "application/xml"}, body.encode())

    @staticmethod
    def _item(name: str, blob: Blob) -> str:
        return (
            f"<Blob><Name>{escape(name)}</Name><Properties>"
            f"<Last-Modified>{_time(blob.modified)}</Last-Modified><Etag>{blob.etag}</Etag>"
            f"<Content-Length>{len(blob.content)}</Content-Length><Content-Type>{escape(blob.content_type)}</Content-Type>"
            "<BlobType>BlockBlob</BlobType></Properties></Blob>"
        )

    @staticmethod
    def _found(blobs: dict[str, Blob], name: str) -> Blob:
        if name not in blobs:
            raise ServiceError(404, "BlobNotFound", "The specified blob does not exist.")
        return blobs[name]

    def _put(self, request: Request, blobs: dict[str, Blob], name: str) -> Answer:
        held = blobs.get(name)
        if request.headers.get("x-ms-blob-type") != "BlockBlob":
            raise not_modeled("blobs that are not block blobs")
        if request.headers.get("if-none-match") == "*" and held is not None:
            raise ServiceError(409, "BlobAlreadyExists", "The specified blob already exists.")
        match = request.headers.get("if-match")
        if match is not None and (held is None or match not in ("*", held.etag)):
            raise ServiceError(412, "ConditionNotMet", "The condition specified was not met.")
        if held is not None:
            self._require_lease(request, held)
        self._writes += 1
        metadata = {k.removeprefix("x-ms-meta-"): v for k, v in request.headers.items() if k.startswith("x-ms-meta-")}
        kind = request.headers.get("x-ms-blob-content-type", "application/octet-stream")
        blob = Blob(request.body, kind, f'"0x{self._writes:X}"', self._now(), metadata)
        if held is not None:
            blob.lease, blob.leased_until = held.lease, held.leased_until
        blobs[name] = blob
        digest = base64.b64encode(hashlib.md5(request.body, usedforsecurity=False).digest()).decode()
        headers = {"etag": blob.etag, "last-modified": _time(blob.modified), "content-md5": digest}
        return Answer(201, headers | {"x-ms-request-server-encrypted": "true"})

    @staticmethod
    def _read(request: Request, blob: Blob) -> Answer:
        headers = {
            "content-type": blob.content_type,
            "etag": blob.etag,
            "last-modified": _time(blob.modified),
            "x-ms-blob-type": "BlockBlob",
            "content-length": str(len(blob.content)),
            **{f"x-ms-meta-{name}": value for name, value in blob.metadata.items()},
        }
        if request.method == "HEAD":
            return Answer(200, headers)
        wanted = request.headers.get("x-ms-range") or request.headers.get("range")
        if wanted is None:
            return Answer(200, headers, blob.content)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        if int(first) >= len(blob.content):
            raise ServiceError(416, "InvalidRange", "The range specified is invalid for the current size.")
        part = blob.content[int(first) : int(last) + 1 if last else None]
        headers["content-range"] = f"bytes {first}-{int(first) + len(part) - 1}/{len(blob.content)}"
        return Answer(206, headers | {"content-length": str(len(part))}, part)

    def _lease_of(self, blob: Blob) -> str | None:
        over = blob.leased_until is not None and blob.leased_until <= self._now()
        return None if over else blob.lease

    def _require_lease(self, request: Request, blob: Blob) -> None:
        given, held = request.headers.get("x-ms-lease-id"), self._lease_of(blob)
        if held is not None and given is None:
            raise ServiceError(
                412, "LeaseIdMissing", "There is currently a lease on the blob and no lease ID was given."
            )
        if given is not None and held != given:
            code = "LeaseLost" if held is None else "LeaseIdMismatchWithBlobOperation"
            raise ServiceError(412, code, "The lease ID specified did not match the lease ID for the blob.")

    def _lease(self, request: Request, blob: Blob) -> Answer:
        action, held = request.headers["x-ms-lease-action"], self._lease_of(blob)
        given = request.headers.get("x-ms-lease-id")
        if action == "acquire":
            wanted = request.headers.get("x-ms-proposed-lease-id") or str(uuid.uuid4())
            if held is not None and held != wanted:
                raise ServiceError(409, "LeaseAlreadyPresent", "There is already a lease present.")
            seconds = int(request.headers["x-ms-lease-duration"])
            blob.lease = wanted
            blob.leased_until = None if seconds == -1 else self._now() + timedelta(seconds=seconds)
            return Answer(201, {"x-ms-lease-id": wanted, "etag": blob.etag, "last-modified": _time(blob.modified)})
        if action in ("renew", "release"):
            if blob.lease != given:
                raise ServiceError(409, "LeaseIdMismatchWithLeaseOperation", "The lease ID did not match.")
            if action == "release":
                blob.lease = blob.leased_until = None
            else:
                blob.leased_until = self._now() + timedelta(seconds=60)
            return Answer(
                200, {"x-ms-lease-id": given or "", "etag": blob.etag, "last-modified": _time(blob.modified)}
            )
        raise not_modeled(f"the lease action {action}")


def _time(moment: datetime) -> str:
    return format_datetime(moment.replace(microsecond=0), usegmt=True)
