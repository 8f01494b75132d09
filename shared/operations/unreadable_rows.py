"""Once an hour: which rows of Sasquash's tables can't be read, and whether people know.

A newer version wrote them, if one was deployed and rolled back; else somebody has changed them. They are in
`GET /api/readiness`, and in one failure record for each day on which more were found.
"""

import logging

from shared.domain.states import Reason
from shared.domain.text import Foreign
from shared.errors import SasquashError
from shared.operations.failure_records import FailureRecords
from shared.persistence.unreadable_rows import Unread, UnreadableRows

_log = logging.getLogger(__name__)

_NAMED = 10  # rows that the failure record names


class UnreadableRowsCheck:
    """Rechecks what was noted, and has people notified."""

    def __init__(self, rows: UnreadableRows, *, failures: FailureRecords) -> None:
        self._rows = rows
        self._failures = failures

    async def run(self) -> None:
        """Forget what can be read by now, and record what can't. Raises nothing: the next hour tries again."""
        try:
            left = await self._rows.recheck()
            if left:
                found_on = f"{left[0].found_at:%Y-%m-%d}"
                await self._failures.note("rows", found_on, reason=Reason.CRASHED, detail=_said(left))
        except SasquashError as error:
            _log.warning("Unreadable rows were not checked (%s): %s", error.code, error)


def _said(left: list[Unread]) -> str:
    names = ", ".join(f"{Foreign(one.key)} in {Foreign(one.partition)} of {one.table}" for one in left[:_NAMED])
    more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    rows = "1 row of Sasquash's tables" if len(left) == 1 else f"{len(left)} rows of Sasquash's tables"
    return (
        f"{rows} can't be read by this version: {names}{more}. A newer version wrote them, or they were changed. "
        "They are kept as they are, and nothing is done with what they hold. GET /api/readiness lists them. Deploy "
        'the newer version again, or see docs/operations.md, "Rolling back".'
    )
