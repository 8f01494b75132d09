"""The intake as a whole: requests, responses and published events."""

import json
from datetime import timedelta

import pytest
from azure.core.exceptions import ServiceRequestError
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.api.auth.access_tokens import Role
from shared.api.intake.limits import LONGEST, MOST_ITEMS
from shared.api.intake.routes import Intake
from shared.errors import Blocked, TransientFailure
from tests.support import samples
from tests.support.entra import OBJECT_ID, token
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
    "resource": {
        "alertId": 7,
        "alertType": "Secret",
        "repositoryUrl": "https://dev.azure.com/contoso/shop/_git/web",
        "state": "Active",
    },
    "resourceContainers": {"project": {"id": "0d8e2a50-4a59-4f0e-8a4b-2f4d3f6f7a10"}},
}


# What becomes of items


async def test_each_item_has_its_result_and_ignored_ones_are_counted() -> None:
    here = Place()
    body = json.dumps({"findings": [{"text": LEAK}, {"text": "hello"}, {"text": 7}, "hello"]}).encode()

    answer = await here.intake().receive(signed("wiz", body))

    assert answer.status_code == 202
    assert said(answer) == {
        "accepted": 1,
        "ignored": 1,
        "invalid": 2,
        "ignored_because": {"no_credential": 1},
        "items": [
            {"item": 0, "result": "accepted", "findings": [FINGERPRINT], "pending": False},
            {"item": 2, "result": "invalid", "reason": "`text` is missing, empty or not a string."},
            {"item": 3, "result": "invalid", "reason": "The finding is not an object."},
        ],
    }
    assert [event.id for event in here.topic.events] == [FINGERPRINT]


async def test_credential_that_no_event_holds_is_invalid_and_the_others_are_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A queue holds 64 KiB a message ("Put Message"). What the sender has to do is in the answer."""
    monkeypatch.setattr("shared.domain.event_size.LARGEST", 700)
    long = samples.blob_sas().replace("models/resnet.ckpt", f"models/{'r' * 700}")
    here = Place()

    answer = await here.intake().receive(signed("wiz", generic(f"{long} {LEAK}", LEAK)))

    (invalid, reason), accepted = results(answer)
    assert (answer.status_code, invalid, accepted) == (202, "invalid", ("accepted", None))
    assert "POST /api/revocations" in (reason or "")
    assert [event.id for event in here.topic.events] == [FINGERPRINT]


async def test_report_without_credentials_is_200() -> None:
    here = Place()
    answer = await here.intake().receive(signed("wiz", generic("hello")))

    assert (answer.status_code, here.topic.sent) == (200, [])


async def test_published_finding_has_its_location_and_no_secret() -> None:
    here = Place()
    finding = {"text": LEAK, "url": "https://pastebin.com/\u202ex", "detected_at": "2026-11-20T10:00:00Z"}
    await here.intake().receive(signed("wiz", json.dumps({"findings": [finding]}).encode()))

    [event] = here.topic.events
    signature = LEAK.partition("sig=")[2]
    assert signature not in json.dumps(event.data)
    assert (event.data["source"], event.data["url"]) == ("wiz", "https://pastebin.com/x")
    assert event.data["detected_at"] == "2026-11-20T10:00:00+00:00"


async def test_duplicate_leak_in_a_report_is_published_once() -> None:
    here = Place()
    answer = await here.intake().receive(signed("wiz", generic(LEAK, LEAK)))

    assert [result for result, _ in results(answer)] == ["accepted", "accepted"]
    assert len(here.topic.events) == 1


async def test_chunked_report_is_411_with_what_to_do_before_authentication() -> None:
    """Its body does not reach the app, and no signature matches nothing (azure-functions-host 4.1037, tried)."""
    here = Place()
    sent = request("trufflehog", b"", content_length="", transfer_encoding="chunked")
    answer = await here.intake().receive(sent)

    assert (answer.status_code, said(answer)["code"]) == (411, "length_required")
    assert "--data-binary" in said(answer)["detail"]


async def test_empty_report_of_trufflehog_means_no_leaks() -> None:
    answer = await Place().intake().receive(signed("trufflehog", b""))

    assert (answer.status_code, said(answer)["items"]) == (200, [])


@pytest.mark.parametrize("source", ["wiz", "gitleaks", "sarif", "cloudevents"])
async def test_empty_report_of_another_source_is_invalid(source: str) -> None:
    assert (await Place().intake().receive(signed(source, b""))).status_code == 400


# Alerts


async def test_quickly_read_alert_has_its_findings_in_the_response() -> None:
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


async def test_slow_alert_is_pending() -> None:
    here = Place(tool=Tool(lambda alert: TransientFailure("GitHub is down.")))
    answer = await here.intake().receive(by_github(github_payload()))

    assert (answer.status_code, said(answer)["items"][0]["pending"]) == (202, True)


async def test_alert_without_a_storage_credential_is_ignored() -> None:
    answer = await Place().intake().receive(by_github(github_payload()))

    assert (said(answer)["items"], said(answer)["ignored_because"]) == ([], {"no_credential": 1})


async def test_alert_that_is_not_durable_is_503() -> None:
    here = Place(queue=Queue(fails={"send": TransientFailure("No queue.")}))
    answer = await here.intake().receive(by_github(github_payload()))

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


# Deliveries


async def test_repeated_delivery_is_not_processed_again() -> None:
    here = Place(tool=Tool(lambda alert: leaked([LEAK])))
    intake = here.intake()
    answers = [await intake.receive(by_github(github_payload(), delivery="d1")) for _ in range(3)]

    assert {answer.get_body() for answer in answers} == {answers[0].get_body()}
    assert len(here.topic.events) == 1


async def test_report_with_the_id_of_another_is_not_lost() -> None:
    here = Place()
    intake = here.intake()
    await intake.receive(signed("wiz", generic("hello"), name="msg_1"))
    answer = await intake.receive(signed("wiz", generic(LEAK), name="msg_1"))

    assert (answer.status_code, len(here.topic.events)) == (202, 1)


async def test_failed_delivery_is_processed_when_repeated() -> None:
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
async def test_unknown_source_is_404(source: str) -> None:
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
async def test_source_without_a_secret_is_404(source: str, setting: str) -> None:
    answer = await Place(settings={setting: ""}).intake().receive(signed(source, generic(LEAK)))

    assert answer.status_code == 404


@pytest.mark.parametrize("source", ["wiz", "trufflehog", "gitleaks", "sarif", "cloudevents"])
async def test_sender_with_another_key_is_refused_before_parsing(source: str) -> None:
    here = Place()
    answer = await here.intake().receive(signed(source, b"\xff not even text", key=b"x" * 32))

    assert (answer.status_code, answer.headers["WWW-Authenticate"][:7]) == (401, "Bearer ")
    assert here.topic.sent == []


async def test_changed_github_body_is_refused() -> None:
    here = Place(tool=Tool(lambda alert: leaked([LEAK])))
    good = by_github(github_payload())
    body = good.get_body() + b" "
    altered = request("github", body, **dict(good.headers) | {"content-length": str(len(body))})

    answer = await here.intake().receive(altered)

    assert (answer.status_code, here.queue.sent, here.topic.sent) == (401, [], [])


async def test_azure_devops_hook_with_its_password_is_accepted() -> None:
    here = Place(tool=Tool(lambda alert: leaked([LEAK])))
    answer = await here.intake().receive(request("azure-devops", json.dumps(HOOK).encode(), authorization=BASIC))

    assert (answer.status_code, said(answer)["items"][0]["alert"][:20]) == (202, "Azure DevOps alert 7")


@pytest.mark.parametrize("source", ["defender", "trufflehog", "wiz"])
async def test_app_with_reporter_role_may_report(source: str) -> None:
    body = {"defender": b'{"id": "dc1"}', "trufflehog": json.dumps({"Raw": LEAK}).encode()}.get(source, generic(LEAK))
    here = Place(tool=Tool(lambda alert: leaked([LEAK])))

    answer = await here.intake().receive(
        request(source, body, authorization=f"Bearer {token(roles=[Role.REPORTER])}")
    )

    assert (answer.status_code, len(here.topic.events)) == (202, 1)
    assert here.topic.events[0].data["submitted_by"] == OBJECT_ID


async def test_report_without_an_access_token_names_no_caller() -> None:
    here = Place()
    await here.intake().receive(signed("wiz", generic(LEAK)))

    assert "submitted_by" not in here.topic.events[0].data


async def test_sender_does_not_choose_who_the_caller_is() -> None:
    here = Place()
    finding = {"text": LEAK, "submitted_by": "00000000-0000-4000-8000-00000000000b"}
    body = json.dumps({"findings": [finding], "submitted_by": "00000000-0000-4000-8000-00000000000b"}).encode()
    await here.intake().receive(request("wiz", body, authorization=f"Bearer {token(roles=[Role.REPORTER])}"))

    assert here.topic.events[0].data["submitted_by"] == OBJECT_ID


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.REPORTER])
async def test_token_with_another_role_is_refused(role: Role) -> None:
    answer = await Place().intake().receive(request("defender", b"{}", authorization=f"Bearer {token(roles=[role])}"))

    assert (answer.status_code, said(answer)["code"]) == (403, "not_permitted")


async def test_response_has_no_secret_of_the_settings() -> None:
    answer = await Place().intake().receive(request("github", b"{}", x_hub_signature_256="sha256=0"))

    assert GITHUB_SECRET not in answer.get_body().decode()


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


@pytest.mark.parametrize("at", [NOW - timedelta(minutes=6), NOW + timedelta(minutes=6)])
async def test_replayed_report_is_refused(at: object) -> None:
    here = Place()
    answer = await here.intake().receive(signed("wiz", generic(LEAK), at=at))  # type: ignore[arg-type]

    assert (answer.status_code, here.topic.sent) == (401, [])


# Readings of one token


async def test_token_that_a_scanner_pairs_with_every_link_is_one_event_with_every_reading() -> None:
    """TruffleHog pairs each link of a file with each token, in the random order of a map.

    github.com/trufflesecurity/trufflehog, pkg/detectors/azuresastoken/azuresastoken.go (02ec42c2), FromData.
    """
    here, text = Place(), samples.blob_sas()
    address, _, query = text.partition("?")
    links = (
        address,
        address.replace("models/resnet.ckpt", "docs/manual.pdf"),
        address.replace("/models/", "/other/"),
    )
    lines = [json.dumps({"DetectorName": "Azure", "Raw": url, "RawV2": f"{url}{query}"}) for url in reversed(links)]

    answer = await here.intake().receive(signed("trufflehog", "\n".join(lines).encode()))

    [event] = here.topic.events
    reported = [event.data["credential"], *event.data["candidates"]]
    assert (said(answer)["accepted"], event.id) == (3, samples.leak(text).fingerprint)
    assert {one["path"] for one in reported} == {"models/resnet.ckpt", "docs/manual.pdf", "other/resnet.ckpt"}


async def test_quota_counts_a_token_once_however_many_readings_it_has() -> None:
    here, text = Place(settings={"intake_quota": "1"}), samples.blob_sas()
    body = generic(*(text.replace("models", f"models{number}") for number in range(3)))

    assert (await here.intake().receive(signed("wiz", body))).status_code == 202
