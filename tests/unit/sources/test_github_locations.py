"""Where GitHub has found a secret: each type of location, and those that can't be read, over the stand-in.

Types and their details: github/rest-api-description, `secret-scanning-location` and the schemas
`secret-scanning-location-…`, with the URLs of their examples.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from starlette.responses import JSONResponse, Response

from local.reporters.reports import REPOSITORY
from local.tenant.senders import GitHubAlert, GitHubComment, GitHubDiscussion, GitHubPost
from shared.domain.finding import Finding
from shared.domain.unread_place import UnreadPlace
from shared.sources.alert_places import AccountUnread
from shared.sources.github_discussions import Discussions, graphql_base
from tests.support import samples
from tests.support.asgi import Transport
from tests.support.github_api import ALERT, API, FOUND, Place, opened, without

KEY = samples.KEYS["key1"]
TEXT = f"storage account: {samples.ACCOUNT} key: {KEY}"
HOST = f"{samples.ACCOUNT}.blob.core.windows.net"
SITE = f"https://github.com/{REPOSITORY}"


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with opened() as there:
        yield there


def leaked_key(place: Place) -> GitHubAlert:
    """An alert whose secret is a bare key, and which has no location yet."""
    alert = GitHubAlert(REPOSITORY, 1, "azure_storage_account_key", KEY)
    place.cloud.alerts.github.append(alert)
    return alert


def posted(kind: str, path: str, text: str = TEXT) -> GitHubPost:
    title, body = (text, "") if kind.endswith("_title") else ("", text)
    return GitHubPost(kind, f"/repos/{REPOSITORY}{path}", title, body)


async def read(place: Place) -> Finding:
    """The one finding of the alert."""
    [finding] = await place.github().read(ALERT, FOUND)
    return finding


async def unread(place: Place) -> tuple[UnreadPlace, ...]:
    """Why the account of the alert's key is not known."""
    finding = await read(place)
    assert finding.credential == samples.leak(KEY)
    assert finding.host is None
    return finding.unread_places


# Files


async def test_account_of_a_bare_key_is_read_from_the_lines_around_it(place: Place) -> None:
    alert = leaked_key(place)
    alert.file, alert.line = f"# Models\naccount: {samples.ACCOUNT}\n\nkey: {KEY}\n", 4

    assert (await read(place)).host == HOST


async def test_lines_of_a_file_in_utf_16_are_read(place: Place) -> None:
    """As Windows PowerShell 5.1 writes files: "about_Character_Encoding"."""
    leaked_key(place).file = "x"
    content = f"\ufeffaccount: {samples.ACCOUNT}\nkey: {KEY}\n".encode("utf-16-le")
    place.wire = Transport(_with(place, "/git/blobs/", Response(content)))  # type: ignore[arg-type]

    assert (await read(place)).host == HOST


async def test_other_secrets_in_the_surrounding_lines_are_ignored(place: Place) -> None:
    alert = leaked_key(place)
    alert.file = f"{TEXT}\n{samples.blob_sas()}\n"

    assert (await read(place)).credential == samples.leak(TEXT)


async def test_account_that_stands_at_a_second_place_only_is_found(place: Place) -> None:
    alert = leaked_key(place)
    alert.posts += [posted("issue_comment", "/issues/comments/1", KEY), posted("issue_body", "/issues/9")]

    assert (await read(place)).host == HOST


async def test_accounts_of_two_places_are_both_candidates(place: Place) -> None:
    alert = leaked_key(place)
    other = TEXT.replace(samples.ACCOUNT, "contosodata")
    alert.posts += [posted("issue_body", "/issues/1"), posted("issue_body", "/issues/2", other)]
    finding = await read(place)

    assert {one.host for one in finding.everywhere} == {HOST, "contosodata.blob.core.windows.net"}


# Issues, pull requests, and what is said of them


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("issue_title", "/issues/1347"),
        ("issue_body", "/issues/1347"),
        ("issue_comment", "/issues/comments/1081119451"),
        ("pull_request_title", "/pulls/2846"),
        ("pull_request_body", "/pulls/2846"),
        ("pull_request_comment", "/issues/comments/1081119452"),
        ("pull_request_review", "/pulls/2846/reviews/80"),
        ("pull_request_review_comment", "/pulls/comments/12"),
    ],
)
async def test_account_of_a_bare_key_is_read_from_the_post_in_which_it_stands(
    place: Place, kind: str, path: str
) -> None:
    leaked_key(place).posts.append(posted(kind, path))

    assert (await read(place)).host == HOST


# Discussions: docs.github.com, "Using the GraphQL API for Discussions"


DISCUSSION = GitHubDiscussion(39082, title=TEXT, body="Hello.")
BODY = GitHubDiscussion(39082, title="Hello.", body=TEXT)
COMMENT = GitHubDiscussion(39082, "Hello.", "Hello.", (GitHubComment(1, "Hi."), GitHubComment(4158232, TEXT)))
REPLY = GitHubDiscussion(39082, "Hello.", "Hello.", (GitHubComment(1, "Hi.", (GitHubComment(4158232, TEXT),)),))
FAR = GitHubDiscussion(39082, comments=(*(GitHubComment(n, "Hi.") for n in range(1, 130)), *COMMENT.comments))
AT = f"{SITE}/discussions/39082"
AT_COMMENT = f"{AT}#discussioncomment-4158232"


@pytest.mark.parametrize(
    ("kind", "url", "discussion"),
    [
        ("discussion_title", AT, DISCUSSION),
        ("discussion_body", f"{AT}#discussion-4566270", BODY),
        ("discussion_comment", AT_COMMENT, COMMENT),
        ("discussion_comment", AT_COMMENT, REPLY),
        ("discussion_comment", AT_COMMENT, FAR),
    ],
    ids=["title", "body", "comment", "reply", "comment on a later page"],
)
async def test_account_of_a_bare_key_is_read_from_the_discussion_in_which_it_stands(
    place: Place, kind: str, url: str, discussion: GitHubDiscussion
) -> None:
    alert = leaked_key(place)
    alert.discussions.append(discussion)
    alert.places.append((kind, {f"{kind}_url": url}))

    assert (await read(place)).host == HOST


async def test_query_of_a_discussion_has_what_the_location_says_as_variables_alone(place: Place) -> None:
    alert = leaked_key(place)
    alert.discussions.append(COMMENT)
    alert.places.append(("discussion_comment", {"discussion_comment_url": AT_COMMENT}))
    await read(place)
    [body] = [json.loads(body) for _, url, body in place.wire.sent if url.endswith("/graphql")]

    assert "39082" not in body["query"]
    assert REPOSITORY.partition("/")[2] not in body["query"]
    assert body["variables"] == {"owner": "contoso", "name": "robust-models", "number": 39082, "after": None}


async def test_other_comments_of_a_discussion_name_no_account(place: Place) -> None:
    alert = leaked_key(place)
    alert.discussions.append(GitHubDiscussion(39082, comments=(GitHubComment(1, TEXT), GitHubComment(4158232, KEY))))
    alert.places.append(("discussion_comment", {"discussion_comment_url": AT_COMMENT}))

    assert await unread(place) == ()


@pytest.mark.parametrize(
    ("api", "base"),
    [
        ("https://api.github.com", "https://api.github.com"),
        ("https://github.contoso.com/api/v3", "https://github.contoso.com/api"),
        ("https://github.contoso.com/api/v3/", "https://github.contoso.com/api"),
        ("https://api.contoso.ghe.com", "https://api.contoso.ghe.com"),
    ],
)
def test_graphql_is_beside_the_rest_api(api: str, base: str) -> None:
    """docs.github.com, "Forming calls with GraphQL"; GitHub Enterprise Server: http(s)://HOSTNAME/api/graphql."""
    assert graphql_base(api) == base


async def test_discussion_of_github_enterprise_server_is_read_there(place: Place) -> None:
    sent: list[str] = []

    class Server:
        async def call(self, method: str, path: str, **_: object) -> object:
            sent.append(f"{method} {path}")
            return {"data": {"repository": {"discussion": {"title": TEXT, "body": ""}}}}

    class SignedIn:
        async def headers(self, *_: object) -> dict[str, str]:
            return {}

    there = Discussions(Server(), SignedIn(), "github.contoso.com")  # type: ignore[arg-type]
    text = await there.text(ALERT, f"https://github.contoso.com/{REPOSITORY}/discussions/1", field="title")

    assert text not in list(UnreadPlace)
    assert sent == ["POST /graphql"]


# What can't be read leaves the leak without its account, and says so


@pytest.mark.parametrize(
    ("kind", "path", "permission"),
    [
        ("issue_body", "/issues/9", "issues"),
        ("pull_request_body", "/pulls/9", "pull_requests"),
        ("discussion_body", "", "discussions"),
    ],
)
async def test_post_that_the_app_may_not_read_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch, kind: str, path: str, permission: str
) -> None:
    alert = leaked_key(place)
    if kind == "discussion_body":
        alert.discussions.append(BODY)
        alert.places.append((kind, {"discussion_body_url": AT}))
    else:
        alert.posts.append(posted(kind, path))
    without(permission, monkeypatch)

    assert await unread(place) == (UnreadPlace.REFUSED,)


async def test_post_that_the_app_may_not_read_does_not_stop_the_others(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = leaked_key(place)
    alert.posts.append(posted("issue_body", "/issues/9"))
    alert.file = TEXT
    without("issues", monkeypatch)

    assert (await read(place)).host == HOST


async def test_deleted_post_and_deleted_discussion_are_missing(place: Place) -> None:
    alert = leaked_key(place)
    alert.posts.append(posted("issue_body", "/issues/9", ""))
    alert.places += [
        ("issue_comment", {"issue_comment_url": f"{API}/repos/{REPOSITORY}/issues/comments/7"}),
        ("discussion_body", {"discussion_body_url": AT}),
        ("discussion_comment", {"discussion_comment_url": AT_COMMENT}),
    ]

    assert await unread(place) == (UnreadPlace.MISSING,)


async def test_deleted_issue_is_missing(place: Place) -> None:
    """docs.github.com, "Get an issue": 410 Gone."""
    leaked_key(place).posts.append(posted("issue_body", "/issues/9"))
    place.wire = Transport(_with(place, "/issues/9", Response(status_code=410)))  # type: ignore[arg-type]

    assert await unread(place) == (UnreadPlace.MISSING,)


async def test_comment_that_is_not_in_its_discussion_is_missing(place: Place) -> None:
    alert = leaked_key(place)
    alert.discussions.append(DISCUSSION)
    alert.places.append(("discussion_comment", {"discussion_comment_url": AT_COMMENT}))

    assert await unread(place) == (UnreadPlace.MISSING,)


async def test_comment_after_five_hundred_others_is_not_searched(place: Place) -> None:
    alert = leaked_key(place)
    many = tuple(GitHubComment(number, "Hi.") for number in range(1, 600))
    alert.discussions.append(GitHubDiscussion(39082, comments=(*many, GitHubComment(4158232, TEXT))))
    alert.places.append(("discussion_comment", {"discussion_comment_url": AT_COMMENT}))

    assert await unread(place) == (UnreadPlace.TOO_LARGE,)
    assert len(place.calls("/graphql")) == 10


async def test_page_of_a_wiki_is_not_read(place: Place) -> None:
    """`secret-scanning-location-wiki-commit`: of the wiki's own repository, which no API of GitHub has."""
    leaked_key(place).places.append(
        (
            "wiki_commit",
            {
                "path": "/example/Home.md",
                "start_line": 1,
                "end_line": 1,
                "start_column": 1,
                "end_column": 64,
                "blob_sha": "af5626b4a114abcb82d63db7c8082c3c4756e51b",
                "page_url": f"{SITE}/wiki/Home/302c0b7e200761c9dd9b57e57db540ee0b4293a5",
                "commit_sha": "302c0b7e200761c9dd9b57e57db540ee0b4293a5",
                "commit_url": f"{SITE}/wiki/_compare/302c0b7e200761c9dd9b57e57db540ee0b4293a5",
            },
        )
    )

    assert await unread(place) == (UnreadPlace.WIKI,)


@pytest.mark.parametrize(
    ("kind", "details", "why"),
    [
        ("release_body", {"release_body_url": f"{API}/repos/{REPOSITORY}/releases/1"}, UnreadPlace.OTHER_KIND),
        ("", {}, UnreadPlace.OTHER_KIND),
        ("commit", {}, UnreadPlace.MALFORMED),
        ("commit", {"blob_sha": "../../issues/1"}, UnreadPlace.MALFORMED),
        ("commit", {"blob_sha": 7}, UnreadPlace.MALFORMED),
        ("issue_body", {}, UnreadPlace.MALFORMED),
    ],
)
async def test_location_of_another_form_is_not_asked(
    place: Place, kind: str, details: dict[str, object], why: UnreadPlace
) -> None:
    leaked_key(place).places.append((kind, details))

    assert await unread(place) == (why,)
    assert [call for call in place.calls() if "releases" in call or "issues" in call] == []


@pytest.mark.parametrize(
    "url",
    [
        f"https://evil.example/repos/{REPOSITORY}/issues/1",
        f"https://api.github.com.evil.example/repos/{REPOSITORY}/issues/1",
        f"https://api.github.com@evil.example/repos/{REPOSITORY}/issues/1",
        "https://api.github.com/repos/fabrikam/other/issues/1",
        f"https://api.github.com/repos/{REPOSITORY}/issues/1/../../actions/secrets",
        f"https://api.github.com/repos/{REPOSITORY}/issues/1?x=1",
        "https://api.github.com/user",
        7,
        None,
    ],
)
async def test_post_at_any_other_address_is_not_asked(place: Place, url: object) -> None:
    """The app's token must not be sent anywhere else."""
    leaked_key(place).places.append(("issue_body", {"issue_body_url": url}))

    assert await unread(place) == (UnreadPlace.MALFORMED,)
    assert place.calls("evil") == place.calls("/issues/") == place.calls("/user") == []


@pytest.mark.parametrize(
    "url",
    [
        f"https://evil.example/{REPOSITORY}/discussions/39082",
        f"https://github.com.evil.example/{REPOSITORY}/discussions/39082",
        "https://github.com/fabrikam/other/discussions/39082",
        f"{SITE}/discussions/39082/../1",
        f"{SITE}/discussions/39082\n",
        f"{SITE}/discussions/39082?x=1",
        f"{SITE}/discussions/99999999999",
        f"{SITE}/discussions/-1",
        f'{SITE}/discussions/1) {{ id }} viewer(x: "',
        f"{SITE.replace('.', 'x')}/discussions/39082",
        "https://github.com/orgs/contoso/discussions/39082",
        7,
        None,
    ],
)
@pytest.mark.parametrize("kind", ["discussion_title", "discussion_body", "discussion_comment"])
async def test_discussion_at_any_other_address_is_not_asked(place: Place, kind: str, url: object) -> None:
    alert = leaked_key(place)
    alert.discussions += [DISCUSSION, BODY, replace(COMMENT, number=1)]
    alert.places.append((kind, {f"{kind}_url": url}))

    assert await unread(place) == (UnreadPlace.MALFORMED,)
    assert place.calls("/graphql") == place.calls("evil") == []


async def test_alert_without_a_location_says_so(place: Place) -> None:
    leaked_key(place)

    assert await unread(place) == (UnreadPlace.UNNAMED,)


async def test_many_unreadable_locations_are_not_all_asked(place: Place) -> None:
    leaked_key(place).posts.extend(posted("issue_body", f"/issues/{number}", "") for number in range(1, 40))

    assert await unread(place) == (UnreadPlace.MISSING, UnreadPlace.LEFT_OUT)
    assert len(place.calls("/issues/")) == 10


async def test_file_that_is_too_large_leaves_the_leak_without_its_account(place: Place) -> None:
    """ "Get a blob": up to 100 MB; no answer over 4 MiB is read."""
    alert = leaked_key(place)
    alert.file = f"{TEXT}\n" + "x" * (4 * 1024 * 1024)

    assert await unread(place) == (UnreadPlace.TOO_LARGE,)


def _with(place: Place, part: str, answer: Response) -> object:
    """The stand-in, but for the requests whose path has `part`: these get `answer`."""
    inner = place.wire._client._transport.app  # type: ignore[attr-defined]

    async def app(scope: dict[str, object], receive: object, send: object) -> None:
        await (answer if part in str(scope["path"]) else inner)(scope, receive, send)  # type: ignore[operator]

    return app


@pytest.mark.parametrize(
    ("part", "status"),
    [("/locations", 502), ("/git/blobs", 503), ("/issues/", 500), ("/graphql", 502)],
)
async def test_place_that_does_not_answer_is_a_transient_failure_with_what_is_known(
    place: Place, part: str, status: int
) -> None:
    alert = leaked_key(place)
    match part:
        case "/issues/":
            alert.posts.append(posted("issue_body", "/issues/9"))
        case "/graphql":
            alert.places.append(("discussion_body", {"discussion_body_url": AT}))
        case _:
            alert.file = TEXT
    place.wire = Transport(_with(place, part, Response(status_code=status)))  # type: ignore[arg-type]

    with pytest.raises(AccountUnread) as raised:
        await read(place)
    [finding] = raised.value.findings
    assert finding.credential == samples.leak(KEY)
    assert finding.unread_places == (UnreadPlace.NO_ANSWER,)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"data": {"repository": None}}, UnreadPlace.MISSING),
        ({"data": {"repository": {"discussion": None}}}, UnreadPlace.MISSING),
        ({"data": None, "errors": [{"type": "NOT_FOUND"}]}, UnreadPlace.MISSING),
        ({"data": {"repository": {"discussion": None}}, "errors": [{"type": "FORBIDDEN"}]}, UnreadPlace.REFUSED),
        ({"errors": [{"type": "INSUFFICIENT_SCOPES"}]}, UnreadPlace.REFUSED),
        ({"data": {"repository": {"discussion": {"title": 7}}}}, UnreadPlace.MISSING),
    ],
)
async def test_answer_without_the_discussion_says_why(place: Place, answer: object, expected: UnreadPlace) -> None:
    """ "Rate limits and query limits for the GraphQL API": 200 with `errors`."""
    leaked_key(place).places.append(("discussion_title", {"discussion_title_url": AT}))
    place.wire = Transport(_with(place, "/graphql", JSONResponse(answer)))  # type: ignore[arg-type]

    assert await unread(place) == (expected,)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]},
        {"errors": [{"message": "x"}]},
    ],
)
async def test_query_that_was_not_answered_is_a_transient_failure(place: Place, answer: object) -> None:
    leaked_key(place).places.append(("discussion_title", {"discussion_title_url": AT}))
    place.wire = Transport(_with(place, "/graphql", JSONResponse(answer)))  # type: ignore[arg-type]

    with pytest.raises(AccountUnread):
        await read(place)
