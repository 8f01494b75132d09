from dataclasses import replace

import pytest

from shared.domain.alert import AlertReference, AlertSource
from shared.domain.alert_match import Closing, Revoked
from shared.domain.execution import Outcome, Verification
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.errors import Blocked, NotFound
from shared.followup.alert_closing import AlertCloser, comment
from shared.sas import extract
from tests.support import samples
from tests.support.samples import NOW

ALERT = AlertReference(AlertSource.GITHUB, "contoso/x", "42")


def revoked(outcome: Outcome = Outcome.PROVEN) -> Revocation:
    record = samples.revocation(
        account=samples.account(), execution=samples.execution(), verification=Verification(outcome, NOW, ("So.",))
    )
    return record.reach(State.PROVEN, now=NOW, detail="Verified revoked.")


class Tool:
    def __init__(self, fails: Exception | None = None) -> None:
        self.fails = fails
        self.closed: list[tuple[AlertReference, str, Revoked]] = []

    async def close(self, alert: AlertReference, comment: str, *, revoked: Revoked) -> Closing:
        if self.fails is not None:
            raise self.fails
        self.closed.append((alert, comment, revoked))
        return Closing("It was closed.", closed=True)


def closer(tool: Tool | None) -> AlertCloser:
    return AlertCloser(dict.fromkeys(AlertSource, lambda: tool))


async def test_an_alert_is_closed_by_its_tool_with_what_was_done_and_what_it_has_to_prove() -> None:
    tool = Tool()

    assert await closer(tool).close(ALERT, revoked()) == Closing("It was closed.", closed=True)
    assert tool.closed == [(ALERT, comment(revoked()), Revoked.of(revoked()))]


async def test_an_alert_of_a_tool_that_is_not_set_up_is_left_open_and_that_is_said() -> None:
    closing = await closer(None).close(ALERT, revoked())

    assert closing == Closing(
        "GitHub alert 42 of contoso/x was left open: closing it is not configured.", closed=False
    )


async def test_an_alert_that_is_gone_is_done_with() -> None:
    closing = await closer(Tool(NotFound("404"))).close(ALERT, revoked())

    assert "does not exist any more" in closing.said
    assert not closing.closed


async def test_fixable_failure_is_retried() -> None:
    with pytest.raises(Blocked):
        await closer(Tool(Blocked("No right."))).close(ALERT, revoked())


def test_a_comment_says_what_was_done_how_it_is_known_and_which_record_it_is() -> None:
    said = comment(revoked())

    assert said.startswith("Revoked by Sasquash: ")
    assert "key2" in said
    assert "Verified: Azure no longer accepts it." in said
    assert samples.finding().fingerprint[:12] in said


def test_a_comment_does_not_overclaim() -> None:
    assert "Verified by ARM only." in comment(revoked(Outcome.ARM_ONLY))
    covered = samples.revocation().end(Reason.COVERED, now=NOW, detail="key2 was regenerated for another leak.")
    assert "key2 was regenerated for another leak." in comment(covered)
    assert "verification" not in comment(covered)


def test_a_comment_is_as_short_as_github_wants_it_and_ends_with_its_ids() -> None:
    long = replace(revoked(), execution=replace(samples.execution(), notes=("x" * 500,)))
    covered = samples.revocation().end(Reason.COVERED, now=NOW, detail="y" * 500)

    assert all(len(comment(record)) <= 280 for record in (revoked(), long, covered))
    assert comment(covered).endswith(f"record {covered.fingerprint[:12]})")


def test_a_comment_that_is_scanned_yields_nothing() -> None:
    covered = samples.revocation().end(Reason.COVERED, now=NOW, detail=f"See {samples.account_sas()}")

    assert [extract(comment(record)) for record in (revoked(), covered)] == [(), ()]
