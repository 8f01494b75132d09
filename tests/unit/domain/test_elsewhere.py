"""Readings of a leak at other hosts: each is tried, and as many are kept as a record holds."""

from dataclasses import replace

import pytest

from shared.domain.elsewhere import MOST, NOWHERE
from shared.domain.readings import Reading
from shared.sas import Credential
from tests.support import samples

OWN = samples.leak(samples.account_sas())


def at(account: str) -> Credential:
    return replace(OWN, host=f"{account}.blob.core.windows.net")


A, B = at("aaaa"), at("bbbb")


def test_readings_of_a_report_wait_in_their_order() -> None:
    known = NOWHERE.with_report(OWN, [OWN, A, B])

    assert known.credentials(OWN) == (A, B)


@pytest.mark.parametrize("reported", [OWN, replace(OWN, host=None), replace(OWN, path="x")])
def test_reading_without_another_host_is_none_of_them(reported: Credential) -> None:
    assert NOWHERE.with_report(OWN, [reported]) == NOWHERE


def test_known_reading_changes_nothing() -> None:
    known = NOWHERE.with_report(OWN, [A])

    assert known.with_report(OWN, [A]) is known


def test_tried_reading_does_not_wait_again() -> None:
    tried = NOWHERE.with_report(OWN, [A]).tried_at([Reading.of(A)])

    assert tried.with_report(OWN, [A, B]).credentials(OWN) == (B,)


def test_reading_that_came_meanwhile_still_waits() -> None:
    known = NOWHERE.with_report(OWN, [A, B]).tried_at([Reading.of(A)])

    assert known.credentials(OWN) == (B,)


def test_all_are_tried_again_where_the_leak_is_weighed_anew() -> None:
    again = NOWHERE.with_report(OWN, [A, B]).tried_at([Reading.of(A)]).again()

    assert again.credentials(OWN) == (B, A)


def test_tried_readings_give_way_to_new_ones() -> None:
    first = [at(f"first{number}") for number in range(MOST)]
    later = [at(f"later{number}") for number in range(MOST)]
    tried = NOWHERE.with_report(OWN, first).tried_at([Reading.of(one) for one in first])

    full = tried.with_report(OWN, later)

    assert (len(full.waiting), full.tried) == (MOST, ())


def test_reading_that_does_not_fit_is_still_unknown() -> None:
    full = NOWHERE.with_report(OWN, [at(f"first{number}") for number in range(MOST)])

    assert full.with_report(OWN, [A]).unknown(OWN, [A, OWN]) == (A,)


def test_place_that_a_record_has_left_is_tried() -> None:
    assert NOWHERE.left(OWN).unknown(A, [OWN]) == ()
    assert NOWHERE.left(replace(OWN, host=None)) == NOWHERE
