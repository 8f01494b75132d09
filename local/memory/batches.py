"""Entity group transactions: parses a change set in multipart/mixed, and renders the response.

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
    """Return the changes of a batch, in order. Raises ServiceError if the batch is invalid."""
    match = _CHANGE_SET.search(request.body)
    if match is None:
        raise ServiceError(400, "InvalidInput", "The batch contains no change set.")
    body = request.body.replace(b"\r\n", b"\n")
    parts = body.split(b"--" + match[1])[1:-1]
    if not 0 < len(parts) <= _MOST:
        raise ServiceError(400, "InvalidInput", f"A change set contains 1 to {_MOST} changes.")
    return [_change(part, request) for part in parts]


def _change(part: bytes, outer: Request) -> Request:
    """Parse a part: a header, and an HTTP request as its body."""
    _, _, http = part.lstrip(b"\n").partition(b"\n\n")
    head, _, body = http.partition(b"\n\n")
    first, *lines = head.decode().split("\n")
    method, url, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    parts = urlsplit(url)
    return Request(method, outer.host, parts.path, parts.query, headers, body.strip())


def render(answers: Iterable[Answer]) -> Answer:
    """Return the response to a batch."""
    inner, outer = f"changesetresponse_{_BOUNDARY}", f"batchresponse_{_BOUNDARY}"
    lines: list[str] = [f"--{outer}", f"Content-Type: multipart/mixed; boundary={inner}", ""]
    for number, answer in enumerate(answers):
        lines += [f"--{inner}", "Content-Type: application/http", "Content-Transfer-Encoding: binary", ""]
        lines += [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}", f"Content-ID: {number}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        lines += ["", answer.body.decode(), ""]
    lines += [f"--{inner}--", "", f"--{outer}--", ""]
    return Answer(202, {"content-type": f"multipart/mixed; boundary={outer}"}, "\r\n".join(lines).encode())
