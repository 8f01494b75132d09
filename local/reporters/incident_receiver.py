"""A webhook for incidents at incidents.contoso.com, as a customer would write it.

It verifies the signature and keeps one incident per id.
"""

import base64
import hashlib
import hmac
import time

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local import json_text
from local.tenant.model import Cloud, Incident, now

PATH = "/hooks/sasquash"
SINK = "webhook"  # Incident.sink
_TOLERANCE = 300  # seconds


def app(cloud: Cloud) -> Starlette:
    """Return the receiver for `cloud`."""

    async def receive(request: Request) -> Response:
        body = await request.body()
        if not _is_signed(request, body, cloud.senders.webhook_secret):
            return JSONResponse({"error": "the signature is missing or invalid"}, 401)
        parsed = json_text.parse(body)
        incident = parsed.get("incident") if isinstance(parsed, dict) else None
        if not isinstance(incident, dict) or not isinstance(incident.get("id"), str):
            return JSONResponse({"error": "the body has no incident"}, 400)
        known = next((i for i in cloud.incidents if i.sink == SINK and i.item_id == incident["id"]), None)
        if known is None:
            cloud.incidents.append(Incident(incident["id"], SINK, {"FindingId": incident["id"], **incident}))
        else:
            known.fields |= incident
            known.updated_at = now()
        return Response(status_code=204)

    return Starlette(routes=[Route(PATH, receive, methods=["POST"])])


def _is_signed(request: Request, body: bytes, secret: str) -> bool:
    name, at = request.headers.get("webhook-id", ""), request.headers.get("webhook-timestamp", "")
    if not name or not at.isdigit() or abs(time.time() - int(at)) > _TOLERANCE:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.digest(key, f"{name}.{at}.".encode() + body, hashlib.sha256)).decode()
    return hmac.compare_digest(request.headers.get("webhook-signature", ""), f"v1,{expected}")
