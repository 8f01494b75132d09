"""Where GitHub has found a secret: the text around it supplies the account that the secret alone does not name.

docs.github.com: "REST API endpoints for secret scanning" (list locations for a secret scanning alert), whose details
name the API's URL of an issue, a comment, a pull request or a review; "REST API endpoints for Git blobs". A
discussion is read by GraphQL. A wiki is a git repository of its own, whose pages no API has.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from shared.cloud.http import Rest
from shared.domain.alert import AlertReference
from shared.domain.unread_place import UnreadPlace
from shared.errors import TransientFailure
from shared.sas.file_text import decoded
from shared.sources.alert_places import Place, Read, lines, whole
from shared.sources.entries import object_of, text_of
from shared.sources.github_app import GitHubApp
from shared.sources.github_discussions import Discussions

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
    discussions: Discussions
    base_url: str

    async def of(self, alert: AlertReference) -> Sequence[Place]:
        """Return the places of an alert. Raises Blocked or TransientFailure, and so does each."""
        doing = f"Listing the locations of {alert}"
        listed = await self.rest.call(
            "GET",
            f"/repos/{alert.place}/secret-scanning/alerts/{alert.alert}/locations",
            doing=doing,
            right="secret scanning alerts: read, of the GitHub App",
            headers=await self.app.headers(alert.place, _CONTENTS),
        )
        if not isinstance(listed, list):
            raise TransientFailure(f"{doing} failed: the answer is not a list.")
        return [partial(self._at, alert, location) for location in listed]

    async def _at(self, alert: AlertReference, location: object) -> Read:
        if not isinstance(location, Mapping):
            return UnreadPlace.MALFORMED
        kind, details = text_of(location, "type") or "", object_of(location, "details")
        if kind in _TEXTS:
            return await self._post(alert, details, _TEXTS[kind])
        match kind:
            case "commit":
                return await self._in_file(alert, details)
            case "discussion_title" | "discussion_body":
                url = text_of(details, f"{kind}_url")
                return await self.discussions.text(alert, url, field=kind.removeprefix("discussion_"))
            case "discussion_comment":
                return await self.discussions.comment(alert, text_of(details, "discussion_comment_url"))
            case "wiki_commit":
                return UnreadPlace.WIKI
            case _:
                return UnreadPlace.OTHER_KIND

    async def _post(self, alert: AlertReference, details: Mapping[str, Any], known: _Text) -> Read:
        path = self._path(alert, text_of(details, known.url))
        if path is None:
            return UnreadPlace.MALFORMED
        answer = await self.rest.call(
            "GET",
            path,
            doing=f"Reading a text of {alert}",
            right=f"{next(iter(known.permission))}: read, of the GitHub App",
            headers=await self.app.headers(alert.place, known.permission),
        )
        text = text_of(answer, known.field) if isinstance(answer, Mapping) else None
        return whole(text) if text is not None else UnreadPlace.MISSING

    def _path(self, alert: AlertReference, url: str | None) -> str | None:
        """Return the path of a URL of the API, None for any other: the token must not be sent elsewhere."""
        if url is None or not url.startswith(f"{self.base_url}/"):
            return None
        match = _PATH.fullmatch(url.removeprefix(self.base_url))
        is_own = match is not None and match["place"].lower() == alert.place.lower()
        return match[0] if match is not None and is_own else None

    async def _in_file(self, alert: AlertReference, details: Mapping[str, Any]) -> Read:
        blob = text_of(details, "blob_sha")
        if blob is None or not _is_sha(blob):
            return UnreadPlace.MALFORMED
        headers = await self.app.headers(alert.place, _CONTENTS)
        content = await self.rest.content(
            "GET",
            f"/repos/{alert.place}/git/blobs/{blob}",
            doing=f"Reading a file of {alert}",
            right="contents: read, of the GitHub App",
            headers=headers | {"Accept": "application/vnd.github.raw+json"},
        )
        first, last, column = (details.get(name) for name in ("start_line", "end_line", "start_column"))
        return lines(decoded(content), first, last, column=column)


def _is_sha(text: str) -> bool:
    return len(text) in (40, 64) and all(character in "0123456789abcdef" for character in text)
