"""How many alerts a record keeps and settles, whatever reports name."""

from datetime import timedelta

from shared.domain.alert import AlertReference, AlertSource
from shared.domain.named_alerts import CHECKS_A_DAY, MOST_LEFT_OUT, MOST_WAITING, NamedAlerts
from tests.support.samples import NOW

LATER = NOW + timedelta(hours=24)


def alerts(first: int, last: int) -> list[AlertReference]:
    return [AlertReference(AlertSource.GITHUB, "contoso/x", str(number)) for number in range(first, last + 1)]


def reported(named: NamedAlerts, *more: AlertReference) -> NamedAlerts:
    for alert in more:
        named = named.with_alert(alert)
    return named


def test_alert_is_kept_once() -> None:
    [alert] = alerts(1, 1)

    assert reported(NamedAlerts(), alert, alert).waiting == (alert,)


def test_alert_that_finds_no_place_is_counted_once_up_to_a_bound() -> None:
    full = reported(NamedAlerts(), *alerts(1, MOST_WAITING))
    one_more = alerts(1000, 1000)

    assert len(reported(full, *one_more, *one_more).left_out) == 1
    assert len(reported(full, *alerts(1000, 9999)).left_out) == MOST_LEFT_OUT


def test_checked_alert_gives_up_its_place_and_is_not_taken_again() -> None:
    full = reported(NamedAlerts(), *alerts(1, MOST_WAITING + 1))
    freed = full.with_settled(alerts(1, 1), now=NOW)

    assert reported(freed, *alerts(1, 1)) == freed
    assert reported(freed, *alerts(MOST_WAITING + 1, MOST_WAITING + 1)).left_out == ()


def test_alert_that_two_instances_checked_counts_once() -> None:
    once = reported(NamedAlerts(), *alerts(1, 2)).with_settled(alerts(1, 1), now=NOW)

    assert once.with_settled(alerts(1, 1), now=LATER) == once


def test_checks_of_a_day_are_bounded_and_begin_again_after_it() -> None:
    named = NamedAlerts().with_settled(alerts(1, CHECKS_A_DAY - 1), now=NOW)

    assert (named.checks_left(NOW), named.with_settled(alerts(500, 505), now=NOW).checks_left(NOW)) == (1, 0)
    assert named.checks_left(LATER) == CHECKS_A_DAY
    assert named.with_settled(alerts(500, 500), now=LATER).checks_left(LATER) == CHECKS_A_DAY - 1


def test_ids_of_checked_alerts_do_not_outgrow_the_record() -> None:
    named = NamedAlerts().with_settled(alerts(1, 5000), now=NOW)

    assert len(named.settled) == 300
    assert named.has_settled(alerts(5000, 5000)[0])
