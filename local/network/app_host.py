"""Function apps under their App Service host names: the platform's sign-in, then a function host.

So links in mails work over HTTPS, as in Azure.
"""

from collections.abc import Callable

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

_METHODS = ["GET", "HEAD", "POST"]
_PASSED_ON = ("authorization", "content-type", "accept")
_TIMEOUT = 60.0  # seconds


def app(address: Callable[[Request], str | None], refusal: Callable[[Request], Response | None]) -> Starlette:
    """Return the forwarding app.

    `address` returns the base address of the host for a request; None while none runs. `refusal` returns the
    platform's refusal of a request; None for one that the app gets.
    """

    async def pass_on(request: Request) -> Response:
        refused = refusal(request)
        if refused is not None:
            return refused
        base = address(request)
        if base is None:
            return JSONResponse({"error": "The function app is not running."}, 503)
        headers = {name: value for name, value in request.headers.items() if name in _PASSED_ON}
        query = f"?{request.url.query}" if request.url.query else ""
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=_TIMEOUT) as client:
            # A body in chunks stays in chunks: no source says that Azure's front end gives it a Content-Length.
            content = request.stream() if "transfer-encoding" in request.headers else await request.body()
            path = request.scope["raw_path"].decode()
            answer = await client.request(request.method, f"{path}{query}", headers=headers, content=content)
        dropped = ("content-length", "transfer-encoding", "content-encoding", "connection", "date", "server")
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in dropped}
        return Response(answer.content, answer.status_code, kept)

    return Starlette(routes=[Route("/{path:path}", pass_on, methods=_METHODS)])
