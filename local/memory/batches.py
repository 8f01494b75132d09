"""Entity group transactions: a change set in multipart/mixed, read and answered.

Source: REST, "Performing entity group transactions".
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import urlsplit

from local.memory.errors import ServiceError
from local.memory.exchange import Answer, Request

_MOST = 100
_BOUNDARY = "0f3c1d5e7a9b"
_CHANGE_SET = re.compile(rb'Content-Type:\s*multipart/mixed;\s*boundary="?([^\s";]+)', re.IGNORECASE)


def read(request: Request) -> list[Request]:
    """Return the changes of a batch, in order. Raises ServiceError for one that can't be read."""
    match = _CHANGE_SET.search(request.body)
    if match is None:
        raise ServiceError(400, "InvalidInput", "The batch holds no change set.")
    body = request.body.replace(b"\r\n", b"\n")
    parts = body.split(b"--" + match[1])[1:-1]
    if not 0 < len(parts) <= _MOST:
        raise ServiceError(400, "InvalidInput", f"A change set holds 1 to {_MOST} changes.")
    return [_change(part, request) for part in parts]


def _change(part: bytes, outer: Request) -> Request:
    """Read one part: its own header, and in its body an HTTP request."""
    _, _, http = part.lstrip(b"\n").partition(b"\n\n")
    head, _, body = http.partition(b"\n\n")
    first, *lines = head.decode().split("\n")
    method, url, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    parts = urlsplit(url)
    return Request(method, outer.host, parts.path, parts.query, headers, body.strip())


def written(answers: Iterable[Answer]) -> Answer:
    """Return the answer to a batch."""
    inner, outer = f"changesetresponse_{_BOUNDARY}", f"batchresponse_{_BOUNDARY}"
    lines: list[str] = [f"--{outer}", f"Content-Type: multipart/mixed; boundary={inner}", ""]
    for number, answer in enumerate(answers):
        lines += [f"--{inner}", "Content-Type: application/http", "Content-Transfer-Encoding: binary", ""]
        lines += [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}", f"Content-ID: {number}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        lines += ["", answer.body.decode(), ""]
    lines += [f"--{inner}--", "", f"--{outer}--", ""]
    return Answer(202, {"content-type": f"multipart/mixed; boundary={outer}"}, "\r\n".join(lines).encode())
