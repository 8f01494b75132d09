"""Sign-in of people to the console and to the Azure CLI: authorization code with PKCE (RFC 7636).

learn.microsoft.com, "Microsoft identity platform and OAuth 2.0 authorization code flow". There are no passwords: the
user picks a person. The console is a single-page app, with redirects to itself only; the Azure CLI is a public
client, with redirects to http://localhost ("Redirect URI (reply URL) best practices and limitations").
"""

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from local.entra import device_code
from local.entra.consent import grant
from local.entra.device_code import VERIFICATION_PATH, DeviceCodes, Session
from local.entra.errors import OAuthError
from local.entra.tokens import AUTHORITY, Entra
from local.network.hostnames import APP_HOST
from local.tenant.model import AZURE_CLI, CONSOLE_CLIENT_ID, TENANT_ID, Cloud, Identity

# The clients that people sign in to, and their redirect URIs.
CLIENTS = {
    CONSOLE_CLIENT_ID: re.compile(
        rf"(?:http://(?:127\.0\.0\.1|localhost):\d{{1,5}}|https://{re.escape(APP_HOST)})/api/desk"
    ),
    AZURE_CLI: re.compile(r"http://localhost(?::\d{1,5})?/?"),
}
_LIFETIME = 3600
_REQUIRED = ("client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge")


@dataclass(frozen=True, slots=True)
class _Code:
    """What a code stands for. `challenge`: of PKCE."""

    session: Session
    challenge: str


class SignIn:
    """The sign-in page and the token endpoint of the tenant."""

    def __init__(self, cloud: Cloud, entra: Entra) -> None:
        self._cloud = cloud
        self._entra = entra
        self._codes: dict[str, _Code] = {}
        self._refresh_tokens: dict[str, Session] = {}
        self._devices = DeviceCodes()

    async def start_device(self, request: Request) -> Response:
        """Answer a client that has no browser: a code for the person."""
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        if form.get("client_id", [""])[0] != AZURE_CLI:
            raise OAuthError("unauthorized_client", 700016, "Application was not found in the directory.")
        return self._devices.start({name: values[0] for name, values in form.items()})

    async def approve_device(self, request: Request) -> Response:
        """Show the people to pick from; with a pick and the code, sign that person in."""
        asked = dict(request.query_params)
        picked = self._cloud.identities.get(asked.get("pick", ""))
        if picked is None:
            return HTMLResponse(
                _page(self._people(AZURE_CLI), asked, action=f"{AUTHORITY}{VERIFICATION_PATH}", asks="user_code")
            )
        if not self._devices.approve(asked.get("user_code", "").strip().upper(), picked):
            return HTMLResponse("<!DOCTYPE html><title>Sign in</title><p>There is no such code.</p>", status_code=400)
        return HTMLResponse("<!DOCTYPE html><title>Sign in</title><p>You have signed in.</p>")

    async def authorize(self, request: Request) -> Response:
        """Show the people to pick from; with a pick, redirect to the console with a code."""
        asked = dict(request.query_params)
        problem = _problem(asked)
        if problem:
            return HTMLResponse(f"<!DOCTYPE html><title>Sign in</title><p>{escape(problem)}</p>", status_code=400)
        picked = self._cloud.identities.get(asked.pop("pick", ""))
        if picked is None:
            action = f"{AUTHORITY}/{TENANT_ID}/oauth2/v2.0/authorize"
            return HTMLResponse(_page(self._people(asked["client_id"]), asked, action=action))
        code = secrets.token_urlsafe(24)
        session = Session(asked["client_id"], picked, asked["scope"], asked["nonce"])
        self._codes[code] = _Code(session, asked["code_challenge"])
        answer = {"code": code, "client_info": _client_info(picked), "state": asked["state"]}
        separator = "#" if asked.get("response_mode", "fragment") == "fragment" else "?"
        return RedirectResponse(f"{asked['redirect_uri']}{separator}{urlencode(answer)}", status_code=302)

    def redeem(self, form: Mapping[str, str]) -> Response:
        """Return tokens for a code, which is valid once, or for a refresh token. Raises OAuthError.

        A refresh token serves every resource that the client may have: the request's `scope` names it.
        """
        session = self._session(form)
        if session is None or session.client != form["client_id"]:
            raise OAuthError("invalid_grant", 70000, "The grant is not valid.")
        refreshes = form["grant_type"] == "refresh_token"
        allowed = grant(
            self._entra, client=session.client, scope=form.get("scope", "" if refreshes else session.scope)
        )
        refresh_token = secrets.token_urlsafe(24)
        self._refresh_tokens[refresh_token] = session
        return JSONResponse(
            {
                "token_type": "Bearer",
                "scope": allowed.scope,
                "expires_in": _LIFETIME,
                "ext_expires_in": _LIFETIME,
                "access_token": self._entra.mint(session.identity, audience=allowed.resource, client=session.client),
                "id_token": self._entra.mint_id_token(
                    session.identity, client_id=session.client, nonce=session.nonce
                ),
                "refresh_token": refresh_token,
                "client_info": _client_info(session.identity),
            },
            headers={"cache-control": "no-store"},
        )

    def _session(self, form: Mapping[str, str]) -> Session | None:
        """Return the session of the form's grant. A refresh token stays valid after its use ("Refresh tokens")."""
        match form.get("grant_type"):
            case "authorization_code":
                code = self._codes.pop(form.get("code", ""), None)
                matches = code is not None and _matches_challenge(form.get("code_verifier", ""), code.challenge)
                return code.session if code is not None and matches else None
            case "refresh_token":
                return self._refresh_tokens.get(form.get("refresh_token", ""))
            case device_code.GRANT_TYPE:
                return self._devices.redeem(form)
        return None

    def _people(self, client: str) -> dict[str, str]:
        """Return the people to pick from: display names by identity name. In the console, those with a role there."""
        people = {user.object_id: user.display_name for user in self._cloud.users.values()}
        return {
            name: f"{people[identity.object_id]} ({', '.join(r for r in sorted(identity.rights) if '/' not in r)})"
            for name, identity in self._cloud.identities.items()
            if identity.object_id in people
            and (client == AZURE_CLI or any(right.startswith("Sasquash.") for right in identity.rights))
        }


def _problem(asked: Mapping[str, str]) -> str:
    """Return what is wrong with a request for a code; an empty text if it is valid."""
    missing = [name for name in _REQUIRED if not asked.get(name)]
    if missing:
        return f"AADSTS900144: The request must contain the following parameter: '{missing[0]}'."
    redirects = CLIENTS.get(asked["client_id"])
    if redirects is None:
        return "AADSTS700016: Application was not found in the directory."
    if not redirects.fullmatch(asked["redirect_uri"]):
        return "AADSTS50011: The redirect URI does not match those of the application."
    if asked["response_type"] != "code" or asked.get("code_challenge_method") != "S256":
        return (
            "AADSTS9002325: Proof Key for Code Exchange is required for cross-origin authorization code redemption."
        )
    return ""


def _matches_challenge(verifier: str, challenge: str) -> bool:
    digest = hashlib.sha256(verifier.encode()).digest()
    return secrets.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"=").decode(), challenge)


def _client_info(identity: Identity) -> str:
    text = json.dumps({"uid": identity.object_id, "utid": TENANT_ID})
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def _page(people: Mapping[str, str], asked: Mapping[str, str], *, action: str, asks: str = "") -> str:
    """Return the page that asks who signs in, and for the value of `asks`."""
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in asked.items()
    )
    buttons = "".join(
        f'<p><button name="pick" value="{escape(name)}">{escape(shown)}</button></p>'
        for name, shown in people.items()
    )
    entry = f'<p><input name="{asks}" placeholder="Code" required></p>' if asks and asks not in asked else ""
    return (
        '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Pick an account</title>'
        '<link rel="icon" href="data:,">'
        f'<h1>Pick an account</h1><form action="{action}">{hidden}{entry}{buttons}</form></html>'
    )
