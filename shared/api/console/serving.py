"""GET /api/desk: the files of the console, from a fixed list, with a strict content security policy."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import azure.functions as func

from shared.settings import Settings

_FOLDER = Path(__file__).parent
_TYPES = {
    "index.html": "text/html; charset=utf-8",
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "sas.js": "text/javascript; charset=utf-8",
    "views.js": "text/javascript; charset=utf-8",
    "api.js": "text/javascript; charset=utf-8",
    "sign_in.js": "text/javascript; charset=utf-8",
    "msal-browser.min.js": "text/javascript; charset=utf-8",
}
_CONFIG = "config.json"


@dataclass(frozen=True, slots=True)
class ConsoleFiles:
    """Serves the page and its files. They are public: the API protects the records."""

    settings: Settings

    def answer(self, request: func.HttpRequest) -> func.HttpResponse:
        """Return a file, or the page itself where none is named; 404 for an unknown file."""
        name = request.route_params.get("file") or "index.html"
        if name == _CONFIG:
            return func.HttpResponse(
                json.dumps(self._config()), mimetype="application/json", headers={**self._headers(), **_FRESH}
            )
        kind = _TYPES.get(name)
        if kind is None:
            return func.HttpResponse("There is no such file.", status_code=404, mimetype="text/plain")
        return func.HttpResponse(_content(name), headers={**self._headers(), **_FRESH, "Content-Type": kind})

    def _config(self) -> dict[str, str | None]:
        """Return the sign-in configuration. Its client id is None where no app registration is set."""
        client_id = next((each for each in self.settings.api_audiences if "://" not in each), None)
        return {
            "authority": f"https://{self.settings.cloud.authority}/{self.settings.tenant_id}",
            "clientId": client_id,
            "scope": f"{client_id}/.default" if client_id is not None else None,
        }

    def _headers(self) -> Mapping[str, str]:
        authority = f"https://{self.settings.cloud.authority}"
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            f"connect-src 'self' {authority}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return {
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Opener-Policy": "same-origin",
        }


_FRESH = {"Cache-Control": "no-cache"}


@cache
def _content(name: str) -> bytes:
    return (_FOLDER / name).read_bytes()
