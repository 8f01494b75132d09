"""What is processed at once: no name that a sender makes up gives it more."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.containment.admission import _SHARE, Admission, Quotas
from tests.support.intake import Clock


def made(*, source: int = 1000, findings: int = 1000, unattributed: int = 1000) -> tuple[Admission, Clock]:
    clock = Clock()
    return Admission(Quotas(source=source, findings=findings, unattributed=unattributed), clock=clock), clock


def at_once(admission: Admission, number: int, *, account: str | None = None) -> int:
    """How many of so many findings are processed at once, each from a source of its own."""
    return sum(admission.over_by(source=f"source {n}", account=account) == 0.0 for n in range(number))


def test_unknown_accounts_share_one_budget_whatever_their_senders_call_themselves() -> None:
    admission, _ = made(unattributed=10)

    assert at_once(admission, 400) == 10


def test_all_findings_share_one_budget() -> None:
    admission, _ = made(findings=10)

    assert at_once(admission, 400) == 10


def test_source_has_no_more_than_its_quota() -> None:
    admission, _ = made(source=3)

    assert [admission.over_by(source="github", account=None) == 0.0 for _ in range(5)] == [True] * 3 + [False] * 2


def test_flood_about_unknown_accounts_delays_no_known_account() -> None:
    admission, _ = made(source=10, findings=10, unattributed=10)
    at_once(admission, 1000)

    assert at_once(admission, 5, account="robustmodels") == 5


def test_flood_in_the_name_of_a_source_delays_no_known_account() -> None:
    admission, _ = made(source=1)
    for _ in range(100):
        admission.over_by(source="github", account=None)

    assert admission.over_by(source="github", account="robustmodels") == 0.0


def test_flood_about_one_account_delays_no_other() -> None:
    admission, _ = made(source=1, findings=1)
    at_once(admission, 1000, account="robustmodels")

    assert at_once(admission, 5, account="robustbackups") == 5


def test_flood_about_a_known_account_has_its_share_and_what_is_left_of_the_others() -> None:
    admission, _ = made(findings=10)

    assert at_once(admission, 1000, account="robustmodels") == _SHARE + 10


def test_share_of_an_account_comes_back_each_minute() -> None:
    admission, clock = made(findings=1)
    at_once(admission, 1000, account="robustmodels")
    clock.now += timedelta(minutes=1)

    assert at_once(admission, 2, account="robustmodels") == 1


def test_what_one_budget_holds_back_is_charged_to_no_other() -> None:
    admission, _ = made(findings=20, unattributed=10)
    at_once(admission, 1000)

    assert at_once(admission, 100, account="robustmodels") == _SHARE + 10


@given(st.integers(1, 5000))
def test_nothing_is_put_off_for_longer_than_a_quarter_of_an_hour(number: int) -> None:
    admission, _ = made(unattributed=1)
    waits = [admission.over_by(source="s", account=None) for _ in range(min(number, 50))]

    assert max(waits) <= 900


def test_flood_that_is_over_delays_nobody_a_quarter_of_an_hour_later() -> None:
    admission, clock = made(unattributed=60)
    at_once(admission, 100_000)
    clock.now += timedelta(minutes=17)

    assert at_once(admission, 1) == 1
