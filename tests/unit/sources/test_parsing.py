"""The results of a report's items."""

from msgspec import UNSET

from shared.sources.entries import Text
from shared.sources.parsing import Result, items_of, joined
from tests.support import other_services, samples
from tests.support.samples import NOW


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
