"""Reports that are too long, too many or malformed: each has a clear response."""

import json
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.api.auth.access_tokens import Role
from shared.api.intake.limits import LONGEST, MOST_ITEMS
from shared.api.intake.routes import Intake
from shared.errors import Blocked
from tests.support import samples
from tests.support.entra import token
from tests.support.intake import BASIC, LEAK, Place, Tool, by_github, generic, request, said, signed

# Too much


async def test_too_long_body_is_refused_before_parsing() -> None:
    answer = await Place().intake().receive(signed("wiz", b" " * (LONGEST + 1)))

    assert (answer.status_code, said(answer)["code"]) == (413, "too_large")


async def test_ten_thousand_items_are_accepted_and_their_response_is_short() -> None:
    here = Place()
    body = json.dumps({"findings": [{"text": "hello"}] * (MOST_ITEMS - 1) + [{"text": LEAK}]}).encode()

    answer = await here.intake().receive(signed("wiz", body))

    assert (said(answer)["ignored"], said(answer)["items"][0]["item"]) == (MOST_ITEMS - 1, MOST_ITEMS - 1)
    assert len(here.topic.events) == 1
    assert len(answer.get_body()) < 300


def too_many(source: str) -> bytes:
    """A report of a tool with one item more than the limit, the first one with a credential."""
    leak, empty = {"text": LEAK, "Match": LEAK, "Raw": LEAK}, b"{}\n" * MOST_ITEMS
    items = [leak, *[{}] * MOST_ITEMS]
    report = {"wiz": {"findings": items}, "sarif": {"runs": [{"results": items}]}}.get(source, items)
    return json.dumps(leak).encode() + b"\n" + empty if source == "trufflehog" else json.dumps(report).encode()


@pytest.mark.parametrize("source", ["wiz", "trufflehog", "gitleaks", "sarif", "cloudevents"])
async def test_report_with_over_ten_thousand_items_is_413_and_nothing_of_it_is_published(source: str) -> None:
    here = Place()
    answer = await here.intake().receive(signed(source, too_many(source)))

    assert (answer.status_code, said(answer)["code"]) == (413, "too_many_items")
    assert here.topic.sent == []


def many_places(source: str) -> bytes:
    """Ten thousand places in a file of a megabyte that is in the report: 120 MB are around them."""
    content, lines = ("x" * 99 + "\n") * 10_000, range(1, MOST_ITEMS + 1)
    if source == "secretlint":
        messages = [{"loc": {"start": {"line": line}}} for line in lines]
        return json.dumps([{"filePath": "a.py", "sourceContent": content, "messages": messages}]).encode()
    artifact = {"location": {"uri": "a.py"}, "contents": {"text": content}}
    places = ({"artifactLocation": {"uri": "a.py", "index": 0}, "region": {"startLine": line}} for line in lines)
    results = [{"message": {"text": "x"}, "locations": [{"physicalLocation": place}]} for place in places]
    return json.dumps({"runs": [{"artifacts": [artifact], "results": results}]}).encode()


@pytest.mark.parametrize("source", ["sarif", "secretlint"])
async def test_report_with_too_much_text_around_its_places_is_413_and_nothing_of_it_is_published(source: str) -> None:
    here = Place()
    answer = await here.intake().receive(signed(source, many_places(source)))

    assert (answer.status_code, said(answer)["code"]) == (413, "too_much_text")
    assert here.topic.sent == []


async def test_report_whose_places_each_name_all_of_a_long_line_is_413_and_nothing_of_it_is_published() -> None:
    here, leaks = Place(), " ".join(samples.account_sas(life=timedelta(days=days)) for days in range(1, 101))
    messages = [{"loc": {"start": {"line": 1}, "end": {"line": 1 + number}}} for number in range(1_000)]
    report = [{"filePath": "a.py", "sourceContent": leaks, "messages": messages}]
    answer = await here.intake().receive(signed("secretlint", json.dumps(report).encode()))

    assert (answer.status_code, said(answer)["code"]) == (413, "too_many_items")
    assert here.topic.sent == []


FLOODS = {
    "objects": b"[" + b",".join([b"{}"] * 1_300_000) + b"]",
    "lists": b"[" + b",".join([b"[]"] * 1_300_000) + b"]",
    "lines": b"{}\n" * 1_300_000,
    "fields": b'[{"a":' * 600_000,
}


@pytest.mark.parametrize("source", ["wiz", "trufflehog", "gitleaks", "sarif", "cloudevents"])
@pytest.mark.parametrize("flood", FLOODS)
async def test_four_megabytes_of_values_are_413_before_they_are_parsed(
    source: str, flood: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Intake, "_read", None)
    answer = await Place().intake().receive(signed(source, FLOODS[flood]))

    assert (answer.status_code, said(answer)["code"]) == (413, "too_many_items")


async def test_values_of_an_unauthenticated_report_are_not_counted() -> None:
    answer = await Place().intake().receive(signed("wiz", FLOODS["objects"], key=b"x" * 32))

    assert answer.status_code == 401


async def test_report_over_quota_is_refused_as_a_whole() -> None:
    here = Place(settings={"intake_quota": "2"})
    intake = here.intake()
    texts = [samples.account_sas(life=timedelta(days=days)) for days in (1, 2, 3)]
    first = await intake.receive(signed("wiz", generic(*texts[:2]), name="1"))
    second = await intake.receive(signed("wiz", generic(texts[2]), name="2"))
    other = await intake.receive(signed("gitleaks", json.dumps([{"Secret": texts[2]}]).encode(), name="3"))
    here.clock.now += timedelta(minutes=31)
    later = await intake.receive(signed("wiz", generic(texts[2]), name="4", at=here.clock.now))

    assert [a.status_code for a in (first, second, other, later)] == [202, 429, 202, 202]
    assert int(second.headers["Retry-After"]) == 1800


# Hostile payloads


SOURCES = ("wiz", "trufflehog", "gitleaks", "sarif", "cloudevents")
HOSTILE = [
    b"",
    b" ",
    b"null",
    b"7",
    b'"text"',
    b"[]",
    b"{}",
    b"[[]]",
    b'{"findings": 7}',
    b'{"findings": null}',
    b'{"runs": [null, {"results": [null, {"locations": [7]}]}]}',
    b'[{"Match": 7, "Secret": []}]',
    b"\xff\xfe",
    b'{"findings": [{"text": "\\ud800"}]}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"findings": NaN}',
    b'{"findings": [], "findings": []}',
    b'{"specversion": "1.0", "id": 7, "type": [], "source": {}}',
]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
async def test_any_bytes_have_a_clear_response(source: str, body: bytes) -> None:
    here = Place()
    answer = await here.intake().receive(signed(source, body))

    assert answer.status_code in (200, 400)
    assert here.topic.sent == []


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=8)
            | st.sampled_from(
                [
                    "findings",
                    "text",
                    "url",
                    "Raw",
                    "RawV2",
                    "SourceMetadata",
                    "Data",
                    "SecretParts",
                    "Match",
                    "Secret",
                    "File",
                    "runs",
                    "results",
                    "locations",
                    "physicalLocation",
                    "region",
                    "snippet",
                    "message",
                    "specversion",
                    "type",
                    "data",
                    "secret",
                    "action",
                    "alert",
                    "number",
                    "secret_type",
                    "repository",
                    "full_name",
                    "eventType",
                    "resource",
                    "alertId",
                    "alertType",
                    "value",
                    "id",
                    "AlertType",
                    "SystemAlertId",
                    "resourceContainers",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=200, deadline=None)
@given(source=st.sampled_from([*SOURCES, "github", "azure-devops", "defender"]), payload=_JSON)
async def test_any_json_has_a_clear_response(source: str, payload: object) -> None:
    body = json.dumps(payload).encode()
    bearer = f"Bearer {token(roles=[Role.REPORTER])}"
    posted = {
        "github": by_github(body),
        "azure-devops": request("azure-devops", body, authorization=BASIC),
        "defender": request("defender", body, authorization=bearer),
    }.get(source) or signed(source, body)

    answer = await Place(tool=Tool(lambda alert: Blocked("Not there."))).intake().receive(posted)

    assert answer.status_code in (200, 202, 400)


async def test_five_megabytes_are_refused() -> None:
    answer = await Place().intake().receive(signed("sarif", b'{"runs": [' + b" " * 5_000_000 + b"]}"))

    assert answer.status_code == 413
