"""Credentials of other Azure services: named, and nothing else."""

from typing import Any

import pytest

from shared.domain.other_service import InvalidOtherService, OtherServiceCredential
from shared.sas import OtherService
from tests.support.other_services import COSMOS_KEY

WIRE = COSMOS_KEY.to_json()


def test_what_is_published_can_be_read_again() -> None:
    assert OtherServiceCredential.from_json(WIRE) == COSMOS_KEY


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (None, "not an object"),
        ([], "not an object"),
        (WIRE | {"service": None}, "service"),
        (WIRE | {"service": "smtp"}, "service"),
        (WIRE | {"sha256": None}, "sha256"),
        (WIRE | {"sha256": WIRE["sha256"].upper()}, "sha256"),
        (WIRE | {"sha256": WIRE["sha256"] + "\n"}, "sha256"),
    ],
)
def test_anything_else_is_refused_by_field_and_rule(data: Any, rule: str) -> None:
    with pytest.raises(InvalidOtherService, match=rule):
        OtherServiceCredential.from_json(data)


def test_record_of_a_credential_is_the_same_wherever_it_leaked() -> None:
    again = OtherServiceCredential.from_json(dict(WIRE))

    assert again.fingerprint == COSMOS_KEY.fingerprint


@pytest.mark.parametrize("service", OtherService)
def test_record_says_which_service_it_is_and_that_nothing_was_done(service: OtherService) -> None:
    detail = OtherServiceCredential(service, "ab" * 32).detail

    assert "Azure " in detail.partition("(")[0]
    assert "ab" * 32 in detail
    assert "nothing was done" in detail
