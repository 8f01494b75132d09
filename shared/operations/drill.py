"""The weekly drill: a token for the drill account, which holds nothing, is leaked, and must be verified revoked.

It takes the path of any other finding: the topic, attribution, the action, verification, the incident, the mail. The
expected result depends on the mode; in `observe` it is to be observed. A timer fires every quarter of an hour: it
starts a drill where the last one is a week old, and judges one that is under way.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from shared.cloud.accounts import AccountRef, Accounts
from shared.cloud.event_grid import Publisher
from shared.domain.account import AccountKey
from shared.domain.decision.policy import Mode
from shared.domain.report import in_text
from shared.domain.revocation import Revocation
from shared.domain.states import State
from shared.domain.target import KEY_NAMES
from shared.errors import NotFound, UnreadableRow
from shared.persistence.readiness import DrillOutcome, DrillRun, ReadinessTable
from shared.persistence.store import Store
from shared.sas import Service, mint_read_token
from shared.settings import Settings

_log = logging.getLogger(__name__)

FAILED = "The drill failed (%s): %s"
"""The log message; an alert rule of infra/queries matches it."""

SOURCE = "Sasquash's weekly drill"
_EACH = timedelta(days=7)
_IN_TIME = timedelta(minutes=15)
_LIFE = timedelta(days=2)  # longer than the day up to which the default rules require approval
_PASSED = {
    Mode.AUTO: frozenset({State.PROVEN, State.CLOSED}),
    Mode.APPROVE: frozenset({State.AWAITING_APPROVAL, State.PROVEN, State.CLOSED}),
    Mode.OBSERVE: frozenset({State.OBSERVED}),
}


class Drill:
    """Leaks a token, and judges the result."""

    def __init__(
        self,
        *,
        settings: Settings,
        accounts: Accounts,
        keys: Callable[[AccountRef], Awaitable[Mapping[str, AccountKey]]],
        publisher: Publisher,
        store: Store,
        table: ReadinessTable,
    ) -> None:
        """`keys` lists an account's keys: `AccountKeyAction.keys`."""
        self._settings = settings
        self._accounts = accounts
        self._keys = keys
        self._publisher = publisher
        self._store = store
        self._table = table

    async def run(self) -> None:
        """Begin a drill, or judge the one that is under way. Does nothing where no drill account is set.

        Raises TransientFailure or Blocked: the next quarter of an hour tries again.
        """
        name = self._settings.drill_account
        if not name:
            return
        runs = await self._table.drills()
        if runs and runs[-1].outcome is DrillOutcome.UNDER_WAY:
            await self._judge(runs[-1])
        elif not runs or self._store.clock() - runs[-1].started_at >= _EACH:
            await self._begin(name)

    async def _begin(self, name: str) -> None:
        """Save the drill, then leak. A token that is not published is known to nobody, and expires by itself."""
        host = self._settings.cloud.blob_host(name)
        account = await self._accounts.find(host, name)
        if account is None:
            raise NotFound(f"The drill account {name} is in none of the subscriptions of SASQUASH_SUBSCRIPTIONS.")
        now = self._store.clock()
        path = f"drill/{self._store.new_id()}"
        key = (await self._keys(account))[KEY_NAMES[0]]
        token = mint_read_token(
            service=Service.BLOB,
            account=name,
            resource=path,
            starts=now,
            expires=now + _LIFE,
            key=key.value,
            permissions="rw",
        )
        [leak] = in_text(f"https://{host}/{path}?{token}", source=SOURCE, url=None, detected_at=now)
        await self._table.save_drill(DrillRun(now, name, leak.finding.fingerprint))
        await self._publisher.publish([leak.finding], source="drill")

    async def _judge(self, run: DrillRun) -> None:
        """Save the drill's result, if there is one."""
        absent = "no finding was recorded."
        try:
            record = await self._store.revocations.read(run.revocation)
        except UnreadableRow:
            record, absent = None, "its record can't be read by this version."
        if record is not None and record.state in _PASSED[self._settings.mode]:
            await self._table.save_drill(
                replace(_timed(run, record), outcome=DrillOutcome.PASSED, said=record.detail)
            )
        elif self._store.clock() - run.started_at >= _IN_TIME:
            said = absent if record is None else f"it is {record.state}. {record.detail}"
            run = _timed(run, record) if record is not None else run
            await self._table.save_drill(replace(run, outcome=DrillOutcome.FAILED, said=said))
            _log.error(FAILED, run.revocation[:12], said)


def _timed(run: DrillRun, record: Revocation) -> DrillRun:
    """Return the drill with how long it took."""

    def after(state: State) -> float | None:
        at = record.reached(state)
        return round((at - run.started_at).total_seconds(), 1) if at is not None else None

    return replace(run, contained_after=after(State.CONTAINED), proven_after=after(State.PROVEN))
