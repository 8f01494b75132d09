"""The device authorization grant of the Azure CLI (`az login --use-device-code`).

learn.microsoft.com, "Microsoft identity platform and the OAuth 2.0 device authorization grant flow"; RFC 8628. The
person opens the verification URL, and picks who they are.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import JSONResponse, Response

from local.entra.errors import OAuthError
from local.entra.tokens import AUTHORITY
from local.tenant.model import Identity

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code"
VERIFICATION_PATH = "/common/oauth2/deviceauth"
_LIFETIME = 900
_INTERVAL = 1  # seconds between two requests of the client; Entra asks for 5


@dataclass(frozen=True, slots=True)
class Session:
    """A person who signed in to a client, and the scope that it asked for."""

    client: str
    identity: Identity
    scope: str
    nonce: str | None = None


@dataclass(slots=True)
class _Request:
    client: str
    scope: str
    session: Session | None = None


class DeviceCodes:
    """The requests that wait for a person, by device code; `user_code` is what the person enters."""

    def __init__(self) -> None:
        self._requests: dict[str, _Request] = {}
        self._by_user_code: dict[str, _Request] = {}

    def start(self, form: Mapping[str, str]) -> Response:
        """Answer a request for a code. Raises OAuthError."""
        for required in ("client_id", "scope"):
            if not form.get(required):
                text = f"The request body must contain the following parameter: '{required}'."
                raise OAuthError("invalid_request", 900144, text)
        device_code, user_code = secrets.token_urlsafe(24), secrets.token_hex(4).upper()
        request = _Request(form["client_id"], form["scope"])
        self._requests[device_code] = self._by_user_code[user_code] = request
        url = f"{AUTHORITY}{VERIFICATION_PATH}"
        return JSONResponse(
            {
                "user_code": user_code,
                "device_code": device_code,
                "verification_uri": url,
                "expires_in": _LIFETIME,
                "interval": _INTERVAL,
                "message": f"To sign in, use a web browser to open the page {url} and enter the code {user_code} "
                "to authenticate.",
            }
        )

    def approve(self, user_code: str, identity: Identity) -> bool:
        """Sign a person in; False where no request has this code."""
        request = self._by_user_code.pop(user_code, None)
        if request is None:
            return False
        request.session = Session(request.client, identity, request.scope)
        return True

    def redeem(self, form: Mapping[str, str]) -> Session:
        """Return the session of a device code, which is valid once. Raises OAuthError while nobody has signed in."""
        code = form.get("device_code", "")
        request = self._requests.get(code)
        if request is None:
            raise OAuthError("bad_verification_code", 70019, "The device code is not valid.")
        if request.session is None:
            raise OAuthError("authorization_pending", 70016, "OAuth 2.0 device flow error. Authorization is pending.")
        del self._requests[code]
        return request.session
