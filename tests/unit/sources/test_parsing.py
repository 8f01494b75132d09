"""The results of a report's items."""

from msgspec import UNSET

from shared.sources.entries import Text
from shared.sources.parsing import Result, items_of
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
