"""A report in, an answer out, and what is published: the intake's rooms together, with nothing outside them."""

import json
from datetime import timedelta

import pytest
from azure.core.exceptions import ServiceRequestError
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.api.auth.access_tokens import Role
from shared.api.intake.routes import LONGEST
from shared.errors import Blocked, TransientFailure
from tests.support import samples
from tests.support.entra import token
from tests.support.intake import (
    GITHUB_SECRET,
    Place,
    Queue,
    Tool,
    Topic,
    by_github,
    generic,
    github_payload,
    leaked,
    request,
    results,
    said,
    signed,
)
from tests.support.samples import NOW

LEAK = samples.account_sas()
FINGERPRINT = samples.leak(LEAK).fingerprint
BASIC = "Basic c2FzcXVhc2g6YSBwYXNzd29yZA=="  # sasquash:a password
HOOK = {
    "eventType": "ms.vss-alerts.alert-created-event",
    "resource": {"alertId": 7, "alertType": "secret", "repositoryId": "a3f1c9d4-57b2-4f7e-9f31-6f3d2f0b8c55"},
    "resourceContainers": {"project": {"id": "0d8e2a50-4a59-4f0e-8a4b-2f4d3f6f7a10"}},
}


# What becomes of items


async def test_each_item_is_told_what_became_of_it() -> None:
    here = Place()
    body = json.dumps({"findings": [{"text": LEAK}, {"text": "hello"}, {"text": 7}, "hello"]}).encode()

    answer = await here.intake().receive(signed("wiz", body))

    assert answer.status_code == 202
    assert said(answer) == {
        "accepted": 1,
        "ignored": 1,
        "invalid": 2,
        "items": [
            {"item": 0, "result": "accepted", "findings": [FINGERPRINT], "pending": False},
            {"item": 1, "result": "ignored", "reason": "no_credential"},
            {"item": 2, "result": "invalid", "reason": "`text` is missing, empty or no text."},
            {"item": 3, "result": "invalid", "reason": "The finding is not an object."},
        ],
    }
    assert [event.id for event in here.topic.events] == [FINGERPRINT]


async def test_a_report_with_nothing_for_us_is_well_received() -> None:
    here = Place()
    answer = await here.intake().receive(signed("wiz", generic("hello")))

    assert (answer.status_code, here.topic.sent) == (200, [])


async def test_what_is_published_has_no_secret_in_it_and_says_where_it_was_found() -> None:
    here = Place()
    finding = {"text": LEAK, "url": "https://pastebin.com/\u202ex", "detected_at": "2026-11-20T10:00:00Z"}
    await here.intake().receive(signed("wiz", json.dumps({"findings": [finding]}).encode()))

    [event] = here.topic.events
    signature = LEAK.partition("sig=")[2]
    assert signature not in json.dumps(event.data)
    assert (event.data["source"], event.data["url"]) == ("wiz", "https://pastebin.com/x")
    assert event.data["detected_at"] == "2026-11-20T10:00:00+00:00"


async def test_the_same_leak_twice_in_a_report_is_published_once() -> None:
    here = Place()
    answer = await here.intake().receive(signed("wiz", generic(LEAK, LEAK)))

    assert [result for result, _ in results(answer)] == ["accepted", "accepted"]
    assert len(here.topic.events) == 1


# Alerts


async def test_an_alert_that_is_read_at_once_is_answered_with_its_findings() -> None:
    here = Place(tool=Tool(lambda alert: leaked([LEAK])))
    answer = await here.intake().receive(by_github(github_payload()))

    assert answer.status_code == 202
    assert said(answer)["items"] == [
        {
            "item": 0,
            "result": "accepted",
            "findings": [FINGERPRINT],
            "pending": False,
            "alert": "GitHub alert 42 of contoso/x",
        }
    ]


async def test_an_alert_that_takes_longer_is_pending() -> None:
    here = Place(tool=Tool(lambda alert: TransientFailure("GitHub is down.")))
    answer = await here.intake().receive(by_github(github_payload()))

    assert (answer.status_code, said(answer)["items"][0]["pending"]) == (202, True)


async def test_an_alert_without_a_credential_of_ours_is_ignored() -> None:
    answer = await Place().intake().receive(by_github(github_payload()))

    assert results(answer) == [("ignored", "no_credential")]


async def test_an_alert_that_is_not_durable_is_to_be_sent_again() -> None:
    here = Place(queue=Queue(fails={"send": TransientFailure("No queue.")}))
    answer = await here.intake().receive(by_github(github_payload()))

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


# Deliveries


async def test_a_delivery_that_comes_again_is_answered_as_before_and_costs_nothing() -> None:
    here = Place(tool=Tool(lambda alert: leaked([LEAK])))
    intake = here.intake()
    answers = [await intake.receive(by_github(github_payload(), delivery="d1")) for _ in range(3)]

    assert {answer.get_body() for answer in answers} == {answers[0].get_body()}
    assert len(here.topic.events) == 1


async def test_a_delivery_that_failed_is_taken_when_it_comes_again() -> None:
    here = Place(topic=Topic(fails=ServiceRequestError("No network.")))
    intake = here.intake()
    failed = await intake.receive(signed("wiz", generic(LEAK)))
    here.topic.fails = None
    again = await intake.receive(signed("wiz", generic(LEAK)))

    assert (failed.status_code, again.status_code, len(here.topic.events)) == (503, 202, 1)


# Who may


@pytest.mark.parametrize(
    "source",
    ["", "unknown", "github ", "GITHUB", "../wiz", "wiz/x"],
)
async def test_a_source_that_is_not_known_is_not_found(source: str) -> None:
    answer = await Place().intake().receive(signed(source, generic(LEAK)))

    assert (answer.status_code, said(answer)["code"]) == (404, "no_such_source")


@pytest.mark.parametrize(
    ("source", "setting"),
    [
        ("github", "github_webhook_secret"),
        ("azure-devops", "azure_devops_password"),
        ("wiz", "intake_senders"),
    ],
)
async def test_a_source_without_a_secret_in_the_settings_is_not_there(source: str, setting: str) -> None:
    answer = await Place(settings={setting: ""}).intake().receive(signed(source, generic(LEAK)))

    assert answer.status_code == 404


@pytest.mark.parametrize("source", ["wiz", "trufflehog", "gitleaks", "sarif", "cloudevents"])
async def test_a_sender_with_another_key_is_refused_before_anything_is_read(source: str) -> None:
    here = Place()
    answer = await here.intake().receive(signed(source, b"\xff not even text", key=b"x" * 32))

    assert (answer.status_code, answer.headers["WWW-Authenticate"][:7]) == (401, "Bearer ")
    assert here.topic.sent == []


async def test_a_body_altered_on_the_way_from_github_is_refused() -> None:
    here = Place(tool=Tool(lambda alert: leaked([LEAK])))
    good = by_github(github_payload())
    altered = request("github", good.get_body() + b" ", **dict(good.headers))

    answer = await here.intake().receive(altered)

    assert (answer.status_code, here.queue.sent, here.topic.sent) == (401, [], [])


async def test_a_hook_of_azure_devops_with_its_password_is_taken() -> None:
    here = Place(tool=Tool(lambda alert: leaked([LEAK])))
    answer = await here.intake().receive(request("azure-devops", json.dumps(HOOK).encode(), authorization=BASIC))

    assert (answer.status_code, said(answer)["items"][0]["alert"][:20]) == (202, "Azure DevOps alert 7")


@pytest.mark.parametrize("source", ["defender", "trufflehog", "wiz"])
async def test_an_app_of_the_tenant_may_report_by_its_token(source: str) -> None:
    body = {"defender": b'{"id": "dc1"}', "trufflehog": json.dumps({"Raw": LEAK}).encode()}.get(source, generic(LEAK))
    here = Place(tool=Tool(lambda alert: leaked([LEAK])))

    answer = await here.intake().receive(
        request(source, body, authorization=f"Bearer {token(roles=[Role.REPORTER])}")
    )

    assert (answer.status_code, len(here.topic.events)) == (202, 1)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.REPORTER])
async def test_a_token_with_another_role_is_no_permit_to_report(role: Role) -> None:
    answer = await Place().intake().receive(request("defender", b"{}", authorization=f"Bearer {token(roles=[role])}"))

    assert (answer.status_code, said(answer)["code"]) == (403, "not_permitted")


async def test_no_answer_repeats_a_secret_of_ours() -> None:
    answer = await Place().intake().receive(request("github", b"{}", x_hub_signature_256="sha256=0"))

    assert GITHUB_SECRET not in answer.get_body().decode()


# Too much


async def test_a_body_that_is_too_long_is_refused_before_it_is_looked_at() -> None:
    answer = await Place().intake().receive(signed("wiz", b" " * (LONGEST + 1)))

    assert (answer.status_code, said(answer)["code"]) == (413, "too_large")


async def test_ten_thousand_items_are_each_answered() -> None:
    here = Place()
    body = json.dumps({"findings": [{"text": "hello"}] * 9_999 + [{"text": LEAK}]}).encode()

    answer = await here.intake().receive(signed("wiz", body))

    assert said(answer)["ignored"] == 9_999
    assert len(here.topic.events) == 1


async def test_over_its_quota_a_source_waits_and_nothing_of_its_report_is_published() -> None:
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
async def test_whatever_is_sent_is_answered_clearly(source: str, body: bytes) -> None:
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
async def test_whatever_the_shape_no_payload_is_more_than_a_clear_answer(source: str, payload: object) -> None:
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


@pytest.mark.parametrize("at", [NOW - timedelta(minutes=6), NOW + timedelta(minutes=6)])
async def test_a_report_is_not_taken_at_another_time(at: object) -> None:
    here = Place()
    answer = await here.intake().receive(signed("wiz", generic(LEAK), at=at))  # type: ignore[arg-type]

    assert (answer.status_code, here.topic.sent) == (401, [])
