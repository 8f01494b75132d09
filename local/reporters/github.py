"""GitHub's REST API: the stand-in for api.github.com, with which GitHub Apps read and resolve secret alerts.

docs.github.com, REST API version 2022-11-28: "GitHub Apps" (installation, access tokens), "Secret scanning", "Git
blobs"; "Generating a JSON Web Token (JWT) for a GitHub App"; "Troubleshooting the REST API" for the errors.
The GraphQL API is at the same host (`github_graphql.py`).
"""

import base64
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local import json_text
from local.reporters import github_graphql
from local.tenant.model import Cloud
from local.tenant.senders import (
    GITHUB_APP,
    GITHUB_CLOSING_APP,
    GITHUB_CLOSING_INSTALLATION,
    GITHUB_INSTALLATION,
    GITHUB_OWNER,
    GitHubAlert,
    GitHubDiscussion,
)

_API_VERSION = "2022-11-28"
_LEVELS = ("read", "write")
_RESOLUTIONS = ("false_positive", "wont_fix", "revoked", "used_in_tests")
_LONGEST_COMMENT = 280
_POSTS = (  # "Issues", "Issue comments", "Pull requests", "Pull request reviews", "… review comments"
    "/issues/{number:int}",
    "/issues/comments/{number:int}",
    "/pulls/{number:int}",
    "/pulls/{number:int}/reviews/{review:int}",
    "/pulls/comments/{number:int}",
)
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class GitHubError(Exception):
    """An error response `{"message", "documentation_url", "status"}`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status} {message}")
        self.status = status
        self.message = message


@dataclass(frozen=True)
class _App:
    """A GitHub App, as it is installed for the owner. A token of an installation has no right beyond these."""

    client_id: str
    installation: int
    permissions: Mapping[str, str]


_APPS = (
    _App(
        GITHUB_APP,
        GITHUB_INSTALLATION,
        {
            "contents": "read",
            "discussions": "read",
            "issues": "read",
            "metadata": "read",
            "pull_requests": "read",
            "secret_scanning_alerts": "read",
        },
    ),
    _App(GITHUB_CLOSING_APP, GITHUB_CLOSING_INSTALLATION, {"metadata": "read", "secret_scanning_alerts": "write"}),
)


@dataclass(frozen=True)
class _Installation:
    """What the access token of an installation allows, on which repositories (by name), and until when."""

    repositories: tuple[str, ...]
    permissions: Mapping[str, str]
    until: datetime


class GitHub:
    """The API for `cloud`. It accepts only tokens that it issued."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._tokens: dict[str, _Installation] = {}
        alert = "/repos/{owner}/{name}/secret-scanning/alerts/{number:int}"
        self.app = Starlette(
            routes=[
                self._route("GET", "/repos/{owner}/{name}/installation", self._installation),
                self._route("POST", "/app/installations/{id:int}/access_tokens", self._access_token),
                self._route("GET", alert, self._get_alert),
                self._route("PATCH", alert, self._update_alert),
                self._route("GET", alert + "/locations", self._locations),
                self._route("GET", "/repos/{owner}/{name}/git/blobs/{sha}", self._blob),
                *(self._route("GET", f"/repos/{{owner}}/{{name}}{path}", self._post) for path in _POSTS),
                self._route("POST", "/graphql", self._graphql),
                self._route(None, "/{path:path}", self._unknown),
            ]
        )

    def _route(self, method: str | None, path: str, answer: Callable[[Request], Awaitable[Response]]) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                _require_headers(request)
                return await answer(request)
            except GitHubError as error:
                url = "https://docs.github.com/rest"
                body = {"message": error.message, "documentation_url": url, "status": str(error.status)}
                return JSONResponse(body, error.status)

        return Route(path, endpoint, methods=[method] if method else _METHODS)

    async def _installation(self, request: Request) -> Response:
        app = self._require_app(request)
        if (
            request.path_params["owner"].lower() != GITHUB_OWNER
            or request.path_params["name"].lower() not in self._known
        ):
            raise GitHubError(404, "Not Found")
        return JSONResponse(
            {"id": app.installation, "client_id": app.client_id, "permissions": dict(app.permissions)}
        )

    async def _access_token(self, request: Request) -> Response:
        app = self._require_app(request)
        if request.path_params["id"] != app.installation:
            raise GitHubError(404, "Not Found")
        body = await _object(request)
        wanted = body.get("permissions", dict(app.permissions))
        if not isinstance(wanted, dict) or any(not _covers(app.permissions, n, level) for n, level in wanted.items()):
            raise GitHubError(422, "The permissions requested are not granted to this installation.")
        repositories = body.get("repositories", [])
        if not isinstance(repositories, list) or any(str(name).lower() not in self._known for name in repositories):
            raise GitHubError(422, "There is at least one repository that does not exist or is not accessible.")
        token = f"ghs_{secrets.token_urlsafe(27)}"
        until = datetime.now(UTC) + timedelta(hours=1)
        self._tokens[token] = _Installation(tuple(str(name).lower() for name in repositories), wanted, until)
        expires_at = f"{until:%Y-%m-%dT%H:%M:%SZ}"
        return JSONResponse({"token": token, "expires_at": expires_at, "permissions": wanted}, 201)

    async def _get_alert(self, request: Request) -> Response:
        self._require(request, "secret_scanning_alerts", "read")
        hides = request.query_params.get("hide_secret", "false")  # "false by default"
        if hides not in ("true", "false") or set(request.query_params) - {"hide_secret"}:
            raise GitHubError(422, "Invalid request.")
        described = _described(self._alert(request))
        return JSONResponse(described | {"secret": None} if hides == "true" else described)

    async def _update_alert(self, request: Request) -> Response:
        self._require(request, "secret_scanning_alerts", "write")
        alert, body = self._alert(request), await _object(request)
        state, resolution, comment = (body.get(name) for name in ("state", "resolution", "resolution_comment"))
        if set(body) - {"state", "resolution", "resolution_comment"} or state not in ("open", "resolved"):
            raise GitHubError(422, "Invalid request.")
        if state == "resolved" and resolution not in _RESOLUTIONS:
            raise GitHubError(422, "A resolution is required when the state is resolved.")
        if comment is not None and (not isinstance(comment, str) or len(comment) > _LONGEST_COMMENT):
            raise GitHubError(422, "resolution_comment is too long (maximum is 280 characters).")
        if state == "open" and comment is not None:
            raise GitHubError(422, "resolution_comment must be null when the state is open.")
        kept = alert.comment if alert.state == state == "resolved" else None  # "cannot be updated or deleted"
        alert.state, alert.resolution, alert.comment = state, resolution, kept or comment
        return JSONResponse(_described(alert))

    async def _locations(self, request: Request) -> Response:
        self._require(request, "secret_scanning_alerts", "read")
        alert = self._alert(request)
        posts = [
            {"type": post.kind, "details": {f"{post.kind}_url": f"https://api.github.com{post.path}"}}
            for post in alert.posts
        ]
        others = [{"type": kind, "details": details} for kind, details in alert.places]
        return JSONResponse([*posts, *others, *([location(alert)] if alert.file else [])])

    async def _post(self, request: Request) -> Response:
        """Answer with an issue, a comment, a pull request or a review. Comments of both kinds have one path."""
        path = request.url.path
        needed = ["pull_requests"] if "/pulls/" in path else ["issues", "pull_requests"]
        self._require_any(request, needed, "read")
        own = (a for a in self._cloud.alerts.github if a.repository.lower() == _repository(request))
        post = next((post for alert in own for post in alert.posts if post.path == path), None)
        if post is None:
            raise GitHubError(404, "Not Found")
        title = {"title": post.title} if "/comments/" not in path and "/reviews/" not in path else {}
        return JSONResponse({"url": f"https://api.github.com{path}", "body": post.body or None} | title)

    async def _blob(self, request: Request) -> Response:
        self._require(request, "contents", "read")
        wanted = request.path_params["sha"]
        repository = _repository(request)
        files = (a.file for a in self._cloud.alerts.github if a.repository.lower() == repository and a.file)
        file = next((file for file in files if _sha(file) == wanted), None)
        if file is None:
            raise GitHubError(404, "Not Found")
        if "raw" in request.headers.get("accept", ""):
            return Response(file.encode(), media_type="application/vnd.github.raw+json")
        content = base64.b64encode(file.encode()).decode()
        return JSONResponse({"sha": wanted, "encoding": "base64", "content": content, "size": len(file.encode())})

    async def _graphql(self, request: Request) -> Response:
        installation = self._signed_in(request)

        def discussions(owner: str, name: str) -> list[GitHubDiscussion]:
            if owner.lower() != GITHUB_OWNER or name.lower() not in installation.repositories:
                raise github_graphql.NoRepository
            if not _covers(installation.permissions, "discussions", "read"):
                raise github_graphql.NotPermitted
            own = (a for a in self._cloud.alerts.github if a.repository.lower() == f"{owner}/{name}".lower())
            return [discussion for alert in own for discussion in alert.discussions]

        return JSONResponse(github_graphql.answer(await _object(request), discussions))

    async def _unknown(self, _request: Request) -> Response:
        raise GitHubError(404, "Not Found")

    def _alert(self, request: Request) -> GitHubAlert:
        wanted = (_repository(request), request.path_params["number"])
        for alert in self._cloud.alerts.github:
            if (alert.repository.lower(), alert.number) == wanted:
                return alert
        raise GitHubError(404, "Not Found")

    @property
    def _known(self) -> set[str]:
        """The names of the repositories that the apps are installed in."""
        return {alert.repository.partition("/")[2].lower() for alert in self._cloud.alerts.github}

    def _require_app(self, request: Request) -> _App:
        """Return the app that calls as itself, with a JWT that it signed. Raises GitHubError (401)."""
        options: Any = {"require": ["iat", "exp", "iss"]}
        token = _bearer(request)
        try:
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
            app = next((app for app in _APPS if app.client_id == issuer), _APPS[0])
            key = self._cloud.senders.github_key(app.client_id).public_key()
            claims = jwt.decode(token, key, algorithms=["RS256"], issuer=app.client_id, options=options)
        except jwt.PyJWTError:
            raise GitHubError(401, "A JSON web token could not be decoded") from None
        if claims["exp"] - claims["iat"] > 660 or claims["exp"] > datetime.now(UTC).timestamp() + 600:
            raise GitHubError(401, "'Expiration time' claim ('exp') is too far in the future")
        return app

    def _signed_in(self, request: Request) -> _Installation:
        installation = self._tokens.get(_bearer(request))
        if installation is None or installation.until < datetime.now(UTC):
            raise GitHubError(401, "Bad credentials")
        return installation

    def _require(self, request: Request, permission: str, level: str) -> None:
        self._require_any(request, [permission], level)

    def _require_any(self, request: Request, permissions: list[str], level: str) -> None:
        installation = self._signed_in(request)
        name = request.path_params["name"].lower()
        if request.path_params["owner"].lower() != GITHUB_OWNER or name not in installation.repositories:
            raise GitHubError(404, "Not Found")
        if not any(_covers(installation.permissions, permission, level) for permission in permissions):
            raise GitHubError(403, "Resource not accessible by integration")


def location(alert: GitHubAlert) -> dict[str, Any]:
    """Return the location of the secret of an alert."""
    api = f"https://api.github.com/repos/{alert.repository}"
    sha = _sha(alert.file)
    return {
        "type": "commit",
        "details": {
            "path": alert.path,
            "start_line": alert.line,
            "end_line": alert.line,
            "start_column": 1,
            "end_column": 1 + len(alert.secret),
            "blob_sha": sha,
            "blob_url": f"{api}/git/blobs/{sha}",
            "commit_sha": sha,
            "commit_url": f"{api}/git/commits/{sha}",
        },
    }


def webhook_alert(alert: GitHubAlert) -> dict[str, Any]:
    """Return an alert as in a webhook: without the secret."""
    return {name: value for name, value in _described(alert).items() if name != "secret"}


def _described(alert: GitHubAlert) -> dict[str, Any]:
    api = f"https://api.github.com/repos/{alert.repository}/secret-scanning/alerts/{alert.number}"
    return {
        "number": alert.number,
        "created_at": f"{alert.created_at:%Y-%m-%dT%H:%M:%SZ}",
        "updated_at": None,
        "url": api,
        "html_url": f"https://github.com/{alert.repository}/security/secret-scanning/{alert.number}",
        "locations_url": f"{api}/locations",
        "state": alert.state,
        "resolution": alert.resolution,
        "resolved_at": None,
        "resolved_by": None,
        "resolution_comment": alert.comment,
        "secret_type": alert.secret_type,
        "secret_type_display_name": alert.secret_type.replace("_", " ").title(),
        "secret": alert.secret,
        "validity": "unknown",
        "publicly_leaked": False,
        "multi_repo": False,
        "push_protection_bypassed": False,
        "push_protection_bypassed_by": None,
        "push_protection_bypassed_at": None,
    }


def _require_headers(request: Request) -> None:
    if not request.headers.get("user-agent"):
        raise GitHubError(403, "Request forbidden by administrative rules: no User-Agent header.")
    if request.headers.get("x-github-api-version", _API_VERSION) != _API_VERSION:
        raise GitHubError(400, "The X-GitHub-Api-Version is not supported.")


def _repository(request: Request) -> str:
    return f"{request.path_params['owner']}/{request.path_params['name']}".lower()


def _covers(granted: Mapping[str, str], permission: str, level: object) -> bool:
    held = granted.get(permission)
    return held in _LEVELS and level in _LEVELS and _LEVELS.index(held) >= _LEVELS.index(str(level))


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() in ("bearer", "token") else ""


def _sha(file: str) -> str:
    """Return the SHA-1 of a blob in Git."""
    content = file.encode()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


async def _object(request: Request) -> dict[str, Any]:
    try:
        body = json_text.parse(await request.body() or b"{}")
    except json_text.InvalidJson:
        body = None
    if not isinstance(body, dict):
        raise GitHubError(400, "Problems parsing JSON")
    return body
