"""The stand-in for GitHub's GraphQL API: which queries are answered, and the errors of the others."""

from collections.abc import AsyncIterator

import httpx
import pytest

from local.reporters.github import GitHub
from local.reporters.reports import REPOSITORY, github_alert
from local.tenant.model import Cloud
from local.tenant.senders import GitHubComment, GitHubDiscussion
from shared.sas import extract_leaks
from tests.local.reporters.test_github import token
from tests.support import samples
from tests.support.asgi import client

QUERY = """
query($owner: String!, $name: String!, $number: Int!) {
  repository(owner: $owner, name: $name) { discussion(number: $number) { title body } }
}
"""
OWNER, NAME = REPOSITORY.split("/")
VARIABLES = {"owner": OWNER, "name": NAME, "number": 7}
COMMENTS = tuple(
    GitHubComment(number, f"comment {number}", (GitHubComment(1000 + number, "reply"),)) for number in range(3)
)


@pytest.fixture
def cloud() -> Cloud:
    made = Cloud()
    text = samples.account_sas()
    alert = github_alert(made, text, extract_leaks(text)[0])
    alert.discussions.append(GitHubDiscussion(7, "A title", "A body", COMMENTS))
    return made


@pytest.fixture
async def api(cloud: Cloud) -> AsyncIterator[httpx.AsyncClient]:
    async with client(GitHub(cloud).app, "api.github.com") as opened:
        opened.headers.update(await token(opened, cloud, discussions="read"))
        yield opened


async def asked(api: httpx.AsyncClient, query: object, **variables: object) -> dict[str, object]:
    """The answer to a query."""
    answer = await api.post("/graphql", json={"query": query, "variables": VARIABLES | variables})
    assert answer.status_code == 200
    body: dict[str, object] = answer.json()
    return body


def kinds(answer: dict[str, object]) -> list[object]:
    errors = answer.get("errors")
    return [error.get("type") for error in errors] if isinstance(errors, list) else []


async def test_discussion_is_read(api: httpx.AsyncClient) -> None:
    answer = await asked(api, QUERY)

    assert answer == {"data": {"repository": {"discussion": {"title": "A title", "body": "A body"}}}}


async def test_comments_come_in_pages(api: httpx.AsyncClient) -> None:
    """schema.graphql, DiscussionCommentConnection and PageInfo."""
    query = """
    query($owner: String!, $name: String!, $number: Int!, $after: String) {
      repository(owner: $owner, name: $name) { discussion(number: $number) {
        comments(first: 2, after: $after) {
          pageInfo { hasNextPage endCursor } nodes { databaseId replies(first: 1) { nodes { databaseId } } }
        }
      } }
    }
    """
    seen, after = [], None
    for _ in range(2):
        answer = await asked(api, query, after=after)
        page = answer["data"]["repository"]["discussion"]["comments"]  # type: ignore[index]
        seen.append([(one["databaseId"], one["replies"]["nodes"][0]["databaseId"]) for one in page["nodes"]])
        after = page["pageInfo"]["endCursor"]

    assert seen == [[(0, 1000), (1, 1001)], [(2, 1002)]]
    assert not page["pageInfo"]["hasNextPage"]


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"number": 8}, ["repository", "discussion"]),
        ({"name": "other"}, ["repository"]),
        ({"owner": "x"}, ["repository"]),
    ],
)
async def test_what_is_not_there_is_not_found(
    api: httpx.AsyncClient, changed: dict[str, object], path: list[str]
) -> None:
    """cli/cli, pkg/cmd/discussion: NOT_FOUND, with the path of the field."""
    answer = await asked(api, QUERY, **changed)

    assert kinds(answer) == ["NOT_FOUND"]
    assert answer["errors"][0]["path"] == path  # type: ignore[index]


async def test_token_without_the_permission_is_refused(cloud: Cloud) -> None:
    """ "Resource not accessible by integration": github-community-projects/contributors#492."""
    async with client(GitHub(cloud).app, "api.github.com") as opened:
        opened.headers.update(await token(opened, cloud, issues="read"))
        answer = await asked(opened, QUERY)

    assert kinds(answer) == ["FORBIDDEN"]


async def test_request_without_a_token_is_refused(api: httpx.AsyncClient) -> None:
    answer = await api.post("/graphql", json={"query": QUERY}, headers={"Authorization": ""})

    assert answer.status_code == 401


@pytest.mark.parametrize(
    "query",
    [
        "query {",
        "query { viewer { login } }",
        'query { repository(owner: 7, name: "x") { name } }',
        'query { repository(name: "x") { name } }',
        'query($owner: String) { repository(owner: $owner, name: "x") { name } }',
        QUERY.replace("title", "titel"),
        7,
        None,
    ],
)
async def test_query_outside_the_schema_is_not_executed(api: httpx.AsyncClient, query: object) -> None:
    answer = await asked(api, query)

    assert "data" not in answer
    assert kinds(answer) == [None]


@pytest.mark.parametrize("page", ["", "(first: 0)", "(first: 101)"])
async def test_connection_needs_its_bounds(api: httpx.AsyncClient, page: str) -> None:
    """docs.github.com, "Rate limits and query limits for the GraphQL API": 1 to 100."""
    answer = await asked(api, QUERY.replace("title body", f"comments{page} {{ totalCount }}"))

    assert kinds(answer) in (["MISSING_PAGINATION_BOUNDARIES"], ["EXCESSIVE_PAGINATION"])
