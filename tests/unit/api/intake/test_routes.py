"""The intake as a whole: requests, responses and published events."""

import json

import pytest
from azure.core.exceptions import ServiceRequestError

from shared.errors import TransientFailure
from tests.support import samples
from tests.support.intake import (
    FINGERPRINT,
    LEAK,
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
