"""Authentication as a GitHub App: a token signed with its private key, exchanged for tokens of an installation.

docs.github.com: "Generating a JSON Web Token (JWT) for a GitHub App", "Generating an installation access token".
"""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

import jwt
import msgspec

from shared.cloud.http import Rest
from shared.errors import Blocked, TransientFailure

_SKEW = timedelta(seconds=60)  # how far GitHub's clock may be behind ours
_LIFE = timedelta(minutes=9)  # of a token that the app signs; GitHub accepts up to ten
_SPARE = timedelta(minutes=5)  # before its expiry, an installation's token is replaced
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
_RIGHT = "the GitHub App to be installed there, with the permissions of docs/sources.md"


class _Installation(msgspec.Struct, frozen=True):
    """ "Get a repository installation for the authenticated app"."""

    id: int


class _AccessToken(msgspec.Struct, frozen=True):
    """ "Create an installation access token for an app"."""

    token: str
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)]

    def __repr__(self) -> str:
        return f"_AccessToken(expires_at={self.expires_at})"


class GitHubApp:
    """One app. `private_key` returns its key as PEM, in one of the formats of the settings."""

    def __init__(
        self,
        rest: Rest,
        *,
        app: str,
        private_key: Callable[[], Awaitable[str]],
        setting: str,
        clock: Callable[[], datetime],
    ) -> None:
        """`app` is the app's client id or number; `setting` the name of the setting with its key."""
        self._rest = rest
        self._name = app
        self._private_key = private_key
        self._setting = setting
        self._clock = clock
        self._tokens: dict[tuple[str, tuple[tuple[str, str], ...]], _AccessToken] = {}

    async def headers(self, repository: str, permissions: Mapping[str, str]) -> dict[str, str]:
        """Return the headers of a call for `repository` ("owner/name"). Raises Blocked or TransientFailure.

        The token has exactly `permissions`.
        """
        which = repository.lower(), tuple(sorted(permissions.items()))
        token = self._tokens.get(which)
        if token is None or token.expires_at - _SPARE <= self._clock():
            token = await self._new_token(repository, permissions)
            self._tokens[which] = token
        return _HEADERS | {"Authorization": f"Bearer {token.token}"}

    async def _new_token(self, repository: str, permissions: Mapping[str, str]) -> _AccessToken:
        doing = f"Signing in at GitHub for {repository}"
        headers = _HEADERS | {"Authorization": f"Bearer {await self._signed()}"}
        answer = await self._rest.call(
            "GET", f"/repos/{repository}/installation", doing=doing, right=_RIGHT, headers=headers
        )
        installation = _converted(answer, _Installation, doing=doing)
        answer = await self._rest.call(
            "POST",
            f"/app/installations/{installation.id}/access_tokens",
            doing=doing,
            right=_RIGHT,
            headers=headers,
            body={"repositories": [repository.partition("/")[2]], "permissions": dict(permissions)},
        )
        return _converted(answer, _AccessToken, doing=doing)

    async def _signed(self) -> str:
        """Return a token that identifies the app."""
        now = self._clock()
        claims = {"iat": int((now - _SKEW).timestamp()), "exp": int((now + _LIFE).timestamp()), "iss": self._name}
        try:
            return jwt.encode(claims, _pem(await self._private_key()), algorithm="RS256")
        except (ValueError, TypeError, jwt.PyJWTError):  # without a cause: it may contain the key
            raise Blocked(f"{self._setting} is not an RSA private key in PEM: set it again.") from None


def _converted[T](answer: Any, kind: type[T], *, doing: str) -> T:
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError:  # without a cause: it may contain the response
        raise TransientFailure(f"{doing} failed: the response is malformed.") from None


def _pem(text: str) -> str:
    """Return the key with its line breaks, from any format of the setting."""
    text = text.strip()
    if not text.startswith("-----BEGIN"):
        try:
            text = base64.b64decode(text, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise ValueError("neither PEM nor base64 of it") from None
    return text.replace("\\n", "\n")
