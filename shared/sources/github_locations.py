"""Where GitHub has found a secret: the text around it supplies the account that the secret alone does not name.

docs.github.com: "REST API endpoints for secret scanning" (list locations for a secret scanning alert), whose details
name the API's URL of an issue, a comment, a pull request or a review; "REST API endpoints for Git blobs". Discussions
and wikis have no text in the REST API.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.cloud.http import Rest
from shared.domain.alert import AlertReference
from shared.errors import Blocked, NotFound
from shared.sources.entries import object_of, text_of
from shared.sources.github_app import GitHubApp

_log = logging.getLogger(__name__)

_MOST = 5  # of one alert that are read
_LINES_AROUND = 25
_LONGEST_TEXT = 65_536 * 4  # characters, several times what an issue may have
_CONTENTS = {"contents": "read", "secret_scanning_alerts": "read"}
_ISSUES, _PULL_REQUESTS = {"issues": "read"}, {"pull_requests": "read"}
_PATH = re.compile(
    r"/repos/(?P<place>[^/]+/[^/]+)/(?:issues|pulls)/(?:[0-9]{1,12}(?:/reviews/[0-9]{1,20})?|comments/[0-9]{1,20})"
)


@dataclass(frozen=True, slots=True)
class _Text:
    """A location that is a text: the field of its details with the URL, that of the text, the App's permission."""

    url: str
    field: str
    permission: Mapping[str, str]


_TEXTS = {
    "issue_title": _Text("issue_title_url", "title", _ISSUES),
    "issue_body": _Text("issue_body_url", "body", _ISSUES),
    "issue_comment": _Text("issue_comment_url", "body", _ISSUES),
    "pull_request_title": _Text("pull_request_title_url", "title", _PULL_REQUESTS),
    "pull_request_body": _Text("pull_request_body_url", "body", _PULL_REQUESTS),
    "pull_request_comment": _Text("pull_request_comment_url", "body", _PULL_REQUESTS),
    "pull_request_review": _Text("pull_request_review_url", "body", _PULL_REQUESTS),
    "pull_request_review_comment": _Text("pull_request_review_comment_url", "body", _PULL_REQUESTS),
}


@dataclass(frozen=True, slots=True)
class Locations:
    """Reads the text around the secret of an alert. `base_url` is that of the REST API."""

    rest: Rest
    app: GitHubApp
    base_url: str

    async def around(self, alert: AlertReference, places: object) -> str:
        """Return the text around the secret at the first of `places`, which are as GitHub lists them.

        Empty where none can be read. Raises TransientFailure.
        """
        texts: list[str] = []
        for place in places if isinstance(places, list) else []:
            text = await self._at(alert, place) if isinstance(place, Mapping) else None
            if text:
                texts.append(text[:_LONGEST_TEXT])
            if len(texts) == _MOST:
                break
        return "\n\n".join(texts)

    async def _at(self, alert: AlertReference, place: Mapping[str, Any]) -> str | None:
        kind, details = text_of(place, "type") or "", object_of(place, "details")
        if kind == "commit":
            return await self._in_file(alert, details)
        known = _TEXTS.get(kind)
        path = self._path(alert, text_of(details, known.url)) if known is not None else None
        if known is None or path is None:
            return None
        try:
            answer = await self.rest.call(
                "GET",
                path,
                doing=f"Reading a text of {alert}",
                right=f"{next(iter(known.permission))}: read, of the GitHub App",
                headers=await self.app.headers(alert.place, known.permission),
            )
        except (Blocked, NotFound) as error:  # the App need not have this permission; the text may be deleted
            _log.warning("The text around %s was not read: %s", alert, error)
            return None
        return text_of(answer, known.field) if isinstance(answer, Mapping) else None

    def _path(self, alert: AlertReference, url: str | None) -> str | None:
        """Return the path of a URL of the API, None for any other: the token must not be sent elsewhere."""
        if url is None or not url.startswith(f"{self.base_url}/"):
            return None
        match = _PATH.fullmatch(url.removeprefix(self.base_url))
        is_own = match is not None and match["place"].lower() == alert.place.lower()
        return match[0] if match is not None and is_own else None

    async def _in_file(self, alert: AlertReference, details: Mapping[str, Any]) -> str | None:
        blob, first, last = text_of(details, "blob_sha"), details.get("start_line"), details.get("end_line")
        if blob is None or not _is_sha(blob):
            return None
        lines = await self._lines(alert, blob)
        start = first - 1 if isinstance(first, int) else 0
        end = last if isinstance(last, int) else start + 1
        return "\n".join(lines[max(start - _LINES_AROUND, 0) : end + _LINES_AROUND])

    async def _lines(self, alert: AlertReference, blob: str) -> list[str]:
        headers = await self.app.headers(alert.place, _CONTENTS)
        try:
            content = await self.rest.content(
                "GET",
                f"/repos/{alert.place}/git/blobs/{blob}",
                doing=f"Reading a file of {alert}",
                right="contents: read, of the GitHub App",
                headers=headers | {"Accept": "application/vnd.github.raw+json"},
            )
        except NotFound:
            return []  # its history was rewritten
        return content.decode(errors="replace").splitlines()


def _is_sha(text: str) -> bool:
    return len(text) in (40, 64) and all(character in "0123456789abcdef" for character in text)
