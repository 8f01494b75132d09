"""A request and its response inside one process."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from starlette.types import ASGIApp, Message


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it was sent. Names of `headers` are in lower case; `path` and `query` are percent-encoded."""

    method: str
    host: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @classmethod
    def of(cls, method: str, url: str, headers: Mapping[str, str], body: bytes) -> "Request":
        """Return the request for `url`."""
        parts = urlsplit(url)
        names = {name.lower(): str(value) for name, value in headers.items()}
        return cls(method, parts.netloc.lower(), parts.path or "/", parts.query, names, body)

    @property
    def line(self) -> str:
        """The line that faults match: "METHOD https://host/path?query", percent-decoded."""
        query = f"?{self.query}" if self.query else ""
        return f"{self.method} https://{self.host}{unquote(self.path + query)}"


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to a request."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


type Service = Callable[[Request], Awaitable[Answer]]
"""Answers requests."""


def asgi(app: ASGIApp) -> Service:
    """Return `app` as a service."""

    async def answer(request: Request) -> Answer:
        status, headers, chunks = 0, {}, []
        sent = False

        async def receive() -> Message:
            nonlocal sent
            if sent:
                return {"type": "http.disconnect"}
            sent = True
            return {"type": "http.request", "body": request.body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = {n.decode("latin-1").lower(): v.decode("latin-1") for n, v in message["headers"]}
            else:
                chunks.append(message.get("body", b""))

        names = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers.items()]
        if "host" not in request.headers:
            names.append((b"host", request.host.encode()))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "https",
            "path": unquote(request.path),
            "raw_path": request.path.encode(),
            "query_string": request.query.encode(),
            "root_path": "",
            "headers": names,
            "client": ("127.0.0.1", 1),
            "server": (request.host, 443),
        }
        await app(scope, receive, send)
        return Answer(status, headers, b"".join(chunks))

    return answer
