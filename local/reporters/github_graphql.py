"""GitHub's GraphQL API, as far as discussions go: queries are parsed, validated and executed by graphql-core.

octokit/graphql-schema, schema.graphql (2026-07-22): the types below, with those of their fields that are about a
discussion's texts. docs.github.com, "Rate limits and query limits for the GraphQL API": a connection needs `first` or
`last`, from 1 to 100. Errors have a `type`: NOT_FOUND (cli/cli, the tests of `discussion view`), FORBIDDEN
(github-community-projects/contributors#492). The answer is 200 in all these cases.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphql import ExecutionResult, GraphQLError, build_schema, graphql_sync

from local.tenant.senders import GitHubComment, GitHubDiscussion

_SCHEMA = build_schema(
    """
    type Query {
      repository(followRenames: Boolean = true, name: String!, owner: String!): Repository
    }
    type Repository {
      discussion(number: Int!): Discussion
      name: String!
    }
    type Discussion {
      body: String!
      comments(after: String, before: String, first: Int, last: Int): DiscussionCommentConnection!
      databaseId: Int
      number: Int!
      title: String!
    }
    type DiscussionCommentConnection {
      nodes: [DiscussionComment]
      pageInfo: PageInfo!
      totalCount: Int!
    }
    type DiscussionComment {
      body: String!
      databaseId: Int
      replies(after: String, before: String, first: Int, last: Int): DiscussionCommentConnection!
    }
    type PageInfo {
      endCursor: String
      hasNextPage: Boolean!
      hasPreviousPage: Boolean!
      startCursor: String
    }
    """
)
_LARGEST_PAGE = 100


class NoRepository(Exception):
    """The token does not reach the repository, or there is none."""


class NotPermitted(Exception):
    """The token may not read discussions."""


def answer(
    body: Mapping[str, Any], discussions: Callable[[str, str], Sequence[GitHubDiscussion]]
) -> dict[str, object]:
    """Return the answer to a request. `discussions` returns those of a repository, by owner and name."""
    query, variables = body.get("query"), body.get("variables")
    if not isinstance(query, str) or not isinstance(variables, dict | None):
        return {"errors": [{"message": "A query attribute must be specified and must be a string."}]}
    return _described(graphql_sync(_SCHEMA, query, _Query(discussions), variable_values=variables))


def _described(result: ExecutionResult) -> dict[str, object]:
    described: dict[str, object] = {} if result.data is None else {"data": result.data}
    if result.errors:
        described["errors"] = [error.formatted | dict(error.extensions or {}) for error in result.errors]
    return described


def _error(kind: str, message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"type": kind})


class _Query:
    def __init__(self, discussions: Callable[[str, str], Sequence[GitHubDiscussion]]) -> None:
        self._discussions = discussions

    def repository(self, _info: object, *, owner: str, name: str, **_: object) -> "_Repository":
        try:
            return _Repository(name, self._discussions(owner, name))
        except NotPermitted:
            return _Repository(name, None)
        except NoRepository:
            message = f"Could not resolve to a Repository with the name '{owner}/{name}'."
            raise _error("NOT_FOUND", message) from None


class _Repository:
    def __init__(self, name: str, discussions: Sequence[GitHubDiscussion] | None) -> None:
        self.name = name
        self._discussions = discussions

    def discussion(self, _info: object, *, number: int) -> "_Discussion":
        if self._discussions is None:
            raise _error("FORBIDDEN", "Resource not accessible by integration")
        for one in self._discussions:
            if one.number == number:
                return _Discussion(one)
        raise _error("NOT_FOUND", f"Could not resolve to a Discussion with the number of {number}.")


class _Discussion:
    def __init__(self, made: GitHubDiscussion) -> None:
        self.title, self.body, self.number, self.databaseId = made.title, made.body, made.number, made.number + 1000
        self._comments = made.comments

    def comments(self, _info: object, **page: Any) -> dict[str, object]:
        return _page(self._comments, **page)


class _Comment:
    def __init__(self, made: GitHubComment) -> None:
        self.body, self.databaseId = made.body, made.id
        self._replies = made.replies

    def replies(self, _info: object, **page: Any) -> dict[str, object]:
        return _page(self._replies, **page)


def _page(
    comments: Sequence[GitHubComment],
    *,
    first: int | None = None,
    last: int | None = None,
    after: str | None = None,
    before: str | None = None,
) -> dict[str, object]:
    """Return a page of a connection. `last` and `before` are not supported here."""
    if first is None and last is None:
        raise _error("MISSING_PAGINATION_BOUNDARIES", "You must provide a `first` or `last` value to paginate.")
    if first is None or before is not None or not 1 <= first <= _LARGEST_PAGE:
        raise _error("EXCESSIVE_PAGINATION", "`first` must be from 1 to 100.")
    start = int(after.removeprefix("cursor:")) if after is not None else 0
    end = min(start + first, len(comments))
    return {
        "nodes": [_Comment(one) for one in comments[start:end]],
        "totalCount": len(comments),
        "pageInfo": {
            "endCursor": f"cursor:{end}",
            "hasNextPage": end < len(comments),
            "hasPreviousPage": start > 0,
            "startCursor": f"cursor:{start}",
        },
    }
