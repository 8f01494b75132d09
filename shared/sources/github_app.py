"""Being a GitHub App: who it is by a token that it signs itself, what it may do by one of its installation.

docs.github.com: "Generating a JSON Web Token (JWT) for a GitHub App", "Generating an installation access token".
"""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from shared.cloud.http import Rest
from shared.errors import Blocked, TransientFailure

_SKEW = timedelta(seconds=60)  # by which GitHub's clock may be behind ours
_LIFE = timedelta(minutes=9)  # of a token that we sign; GitHub takes up to ten
_SPARE = timedelta(minutes=5)  # before its end, an installation's token is exchanged
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_RIGHT = "the GitHub App to be installed there, with the permissions of docs/sources.md"


@dataclass(frozen=True, slots=True)
class _Token:
    value: str = field(repr=False)
    until: datetime


class GitHubApp:
    """One app. `private_key` returns its key as PEM, in one of the forms of the settings."""

    def __init__(
        self, rest: Rest, *, app: str, private_key: Callable[[], Awaitable[str]], clock: Callable[[], datetime]
    ) -> None:
        """`app` is the app's client id or number."""
        self._rest = rest
        self._name = app
        self._private_key = private_key
        self._clock = clock
        self._tokens: dict[tuple[str, tuple[tuple[str, str], ...]], _Token] = {}

    async def headers(self, repository: str, permissions: Mapping[str, str]) -> dict[str, str]:
        """Return the headers of a call about `repository` ("owner/name"). Raises Blocked or TransientFailure.

        The token may do what `permissions` say and no more.
        """
        which = repository.lower(), tuple(sorted(permissions.items()))
        token = self._tokens.get(which)
        if token is None or token.until <= self._clock():
            token = await self._new_token(repository, permissions)
            self._tokens[which] = token
        return _HEADERS | {"Authorization": f"Bearer {token.value}"}

    async def _new_token(self, repository: str, permissions: Mapping[str, str]) -> _Token:
        doing = f"Signing in at GitHub for {repository}"
        headers = _HEADERS | {"Authorization": f"Bearer {await self._signed()}"}
        installation = await self._rest.call(
            "GET", f"/repos/{repository}/installation", doing=doing, right=_RIGHT, headers=headers
        )
        number = installation.get("id") if isinstance(installation, Mapping) else None
        if not isinstance(number, int):
            raise TransientFailure(f"{doing} failed: the answer names no installation.")
        answer = await self._rest.call(
            "POST",
            f"/app/installations/{number}/access_tokens",
            doing=doing,
            right=_RIGHT,
            headers=headers,
            body={"repositories": [repository.partition("/")[2]], "permissions": dict(permissions)},
        )
        return _token(answer, doing=doing)

    async def _signed(self) -> str:
        """Return a token that says who the app is."""
        now = self._clock()
        claims = {"iat": int((now - _SKEW).timestamp()), "exp": int((now + _LIFE).timestamp()), "iss": self._name}
        try:
            return jwt.encode(claims, _pem(await self._private_key()), algorithm="RS256")
        except (ValueError, TypeError, jwt.PyJWTError):  # without a cause: it may quote the key
            raise Blocked("SASQUASH_GITHUB_PRIVATE_KEY is no RSA private key in PEM: set it again.") from None


def _token(answer: Any, *, doing: str) -> _Token:
    try:
        expires = datetime.fromisoformat(answer["expires_at"]).astimezone(UTC)
        return _Token(str(answer["token"]), expires - _SPARE)
    except (TypeError, KeyError, ValueError):  # without a cause: it may quote the answer
        raise TransientFailure(f"{doing} failed: the answer holds no token.") from None


def _pem(text: str) -> str:
    """Return the key with its line breaks, however the setting has it."""
    text = text.strip()
    if not text.startswith("-----BEGIN"):
        try:
            text = base64.b64decode(text, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise ValueError("neither PEM nor base64 of it") from None
    return text.replace("\\n", "\n")
