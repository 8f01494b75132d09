"""Reads a discussion of GitHub, in which a secret was found. The REST API does not have discussions.

docs.github.com: "Using the GraphQL API for Discussions", "Forming calls with GraphQL" (`POST /graphql`; GitHub
Enterprise Server: `/api/graphql`); octokit/graphql-schema, schema.graphql: Repository.discussion,
Discussion.comments, DiscussionComment.replies. "Rate limits and query limits for the GraphQL API": a failed query is
answered 200, too, with `errors`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.cloud.http import Rest
from shared.domain.alert import AlertReference
from shared.domain.unread_place import UnreadPlace
from shared.errors import TransientFailure
from shared.sources.alert_places import Read, whole
from shared.sources.entries import list_of, object_of, text_of
from shared.sources.github_app import GitHubApp

_PERMISSIONS = {"discussions": "read"}
_RIGHT = "discussions: read, of the GitHub App"
_MOST_PAGES = 10  # of comments: 500, each with its first 50 replies
_REFUSALS: Mapping[object, UnreadPlace] = {
    "NOT_FOUND": UnreadPlace.MISSING,
    "FORBIDDEN": UnreadPlace.REFUSED,
    "INSUFFICIENT_SCOPES": UnreadPlace.REFUSED,
}
_TEXT = """\
query Text($owner: String!, $name: String!, $number: Int!) {
  repository(owner: $owner, name: $name) {
    discussion(number: $number) {
      title
      body
    }
  }
}
"""
_COMMENTS = """\
query Comments($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    discussion(number: $number) {
      comments(first: 50, after: $after) {
        pageInfo {
          hasNextPage
          endCursor
        }
        nodes {
          databaseId
          body
          replies(first: 50) {
            nodes {
              databaseId
              body
            }
          }
        }
      }
    }
  }
}
"""


def graphql_base(api: str) -> str:
    """Return the base of the GraphQL API beside the REST API at `api`."""
    return api.rstrip("/").removesuffix("/v3")


@dataclass(frozen=True, slots=True)
class Discussions:
    """Reads discussions. `graphql` is the API at `graphql_base`, `site` the host of GitHub's pages."""

    graphql: Rest
    app: GitHubApp
    site: str

    async def text(self, alert: AlertReference, url: str | None, *, field: str) -> Read:
        """Return the title or the body of the discussion that a location's URL names.

        Raises Blocked or TransientFailure.
        """
        number, _ = self._named(alert, url)
        if number is None:
            return UnreadPlace.MALFORMED
        answer = await self._asked(alert, _TEXT, {"number": number})
        if isinstance(answer, UnreadPlace):
            return answer
        text = text_of(answer, field)
        return whole(text) if text is not None else UnreadPlace.MISSING

    async def comment(self, alert: AlertReference, url: str | None) -> Read:
        """Return the comment or the reply that a location's URL names. Raises Blocked or TransientFailure."""
        number, comment = self._named(alert, url)
        if number is None or comment is None:
            return UnreadPlace.MALFORMED
        after: str | None = None
        for _ in range(_MOST_PAGES):
            answer = await self._asked(alert, _COMMENTS, {"number": number, "after": after})
            if isinstance(answer, UnreadPlace):
                return answer
            page = object_of(answer, "comments")
            text = next((text_of(one, "body") for one in _each(page) if one.get("databaseId") == comment), None)
            if text is not None:
                return whole(text)
            after = text_of(object_of(page, "pageInfo"), "endCursor")
            if object_of(page, "pageInfo").get("hasNextPage") is not True or after is None:
                return UnreadPlace.MISSING
        return UnreadPlace.TOO_LARGE

    def _named(self, alert: AlertReference, url: str | None) -> tuple[int | None, int | None]:
        """Return the numbers of the discussion and the comment in a URL; None where it is of another repository."""
        path = rf"https://{re.escape(self.site)}/{re.escape(alert.place)}/discussions/([1-9][0-9]{{0,8}})"
        fragment = r"(?:#discussion-[0-9]{1,20}|#discussioncomment-([0-9]{1,10}))?"
        match = re.fullmatch(path + fragment, url or "", re.IGNORECASE | re.ASCII)
        if match is None:
            return None, None
        return int(match[1]), int(match[2]) if match[2] else None

    async def _asked(
        self, alert: AlertReference, query: str, variables: Mapping[str, object]
    ) -> Mapping[str, Any] | UnreadPlace:
        """Return the discussion in the answer to a query."""
        owner, _, name = alert.place.partition("/")
        doing = f"Reading a discussion of {alert}"
        answer = await self.graphql.call(
            "POST",
            "/graphql",
            doing=doing,
            right=_RIGHT,
            headers=await self.app.headers(alert.place, _PERMISSIONS),
            body={"query": query, "variables": {"owner": owner, "name": name, **variables}},
        )
        if not isinstance(answer, Mapping):
            raise TransientFailure(f"{doing} failed: the answer is not one of GraphQL.")
        found = object_of(object_of(answer, "data"), "repository").get("discussion")
        if isinstance(found, Mapping) and not answer.get("errors"):
            return found
        kinds = [one.get("type") for one in list_of(answer, "errors") if isinstance(one, Mapping)]
        refusal = next((_REFUSALS[kind] for kind in kinds if isinstance(kind, str) and kind in _REFUSALS), None)
        if refusal is None and kinds:
            raise TransientFailure(f"{doing} failed: the query was not answered.")
        return refusal or UnreadPlace.MISSING


def _each(page: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the comments of a page, and their replies."""
    for one in list_of(page, "nodes"):
        if isinstance(one, Mapping):
            yield one
            yield from _each(object_of(one, "replies"))
