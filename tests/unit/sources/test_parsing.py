"""The results of a report's items."""

import pytest
from msgspec import UNSET

from shared.sources.entries import Text
from shared.sources.parsing import Result, items_of, joined
from shared.sources.scanner_place import Around
from tests.support import other_services, samples
from tests.support.samples import NOW

KEY = samples.new_key(1)


def test_item_with_a_credential_of_another_service_says_so() -> None:
    """Its sender would believe that it was revoked."""
    [item] = items_of([Text(f"{samples.account_sas()} {other_services.COSMOS}")], source="x", now=NOW)

    answer = item.response(0)

    assert (answer.result, answer.other_services) == (Result.ACCEPTED, ("cosmos_db",))
    assert answer.findings == (samples.leak(samples.account_sas()).fingerprint, other_services.COSMOS_KEY.fingerprint)


def test_item_without_one_says_nothing_of_it() -> None:
    [item] = items_of([Text(samples.account_sas())], source="x", now=NOW)

    assert item.response(0).other_services is UNSET


def test_each_secret_of_a_report_is_one_finding_that_each_of_its_items_names() -> None:
    """TruffleHog's report of a file with thirty connection strings has 900 items."""
    accounts = [f"account{number}" for number in range(30)]
    keys = [samples.new_key(number) for number in range(30)]
    pairs = [f"AccountName={account};AccountKey={key};" for key in keys for account in accounts]

    items, findings = joined(items_of([Text(pair) for pair in pairs], source="trufflehog", now=NOW))

    assert [[one.account for one in finding.everywhere] for finding in findings] == [accounts] * 30
    assert [item.response(0).findings for item in items] == [
        (finding.fingerprint,) for finding in findings for _ in accounts
    ]


def test_item_with_two_secrets_names_both() -> None:
    text = f"AccountName=one;AccountKey={samples.new_key(1)};\nAccountName=two;AccountKey={samples.new_key(2)};"

    [item], findings = joined(items_of([Text(text)], source="x", now=NOW))

    assert item.response(0).findings == tuple(finding.fingerprint for finding in findings)
    assert len(findings) == 2


def pair(account: str, key: str = KEY) -> str:
    return f"AccountName={account};AccountKey={key};"


@pytest.mark.parametrize(
    ("verified", "order"),
    [
        ((), ["one", "two", "three"]),
        (("three",), ["three", "one", "two"]),
        (("three", "two"), ["two", "three", "one"]),
        (("one", "two", "three"), ["one", "two", "three"]),
    ],
)
def test_addresses_that_the_scanner_has_verified_are_tried_first_and_no_other_is_dropped(
    verified: tuple[str, ...], order: list[str]
) -> None:
    entries = [Text(pair(account), verified=account in verified) for account in ("one", "two", "three")]

    items, [finding] = joined(items_of(entries, source="trufflehog", now=NOW))

    assert [one.account for one in finding.everywhere] == order
    assert [item.response(0).findings for item in items] == [(finding.fingerprint,)] * 3


def test_place_of_a_leak_is_that_of_its_verified_address() -> None:
    entries = [Text(pair("one"), "a.py:1"), Text(pair("two"), "b.py:2", verified=True)]

    _, [finding] = joined(items_of(entries, source="trufflehog", now=NOW))

    assert finding.url == "b.py:2"


def test_verified_address_comes_before_the_one_of_the_text_around() -> None:
    """Without the hint the text around is the better witness: a scanner pairs each secret with each address."""
    around = Around(f"account_name = near\nAccountKey = {KEY}\n", 2, 2)
    accounts = []
    for verified in (False, True):
        entry = Text(pair("far"), around=around, verified=verified)
        _, [finding] = joined(items_of([entry], source="trufflehog", now=NOW))
        accounts.append([one.account for one in finding.everywhere])

    assert accounts == [["near"], ["far", "near"]]


def test_two_hundred_addresses_that_are_said_to_be_verified_drop_no_other() -> None:
    """An event carries 64 candidates. The others are further findings of the same secret."""
    other = [Text(pair(f"other{number}"), verified=True) for number in range(200)]
    items = items_of([Text(pair("real")), *other], source="trufflehog", now=NOW)

    _, findings = joined(items)

    assert {one.account for finding in findings for one in finding.everywhere} >= {"real", "other0", "other199"}
