"""What a run is judged by: the services' own state, and the records as the app reads them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from local.memory.exchange import Request
from local.tenant.model import STATE_ACCOUNT, Account, Cloud, Mail
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from tests.simulation.faults import NOT_CARRIED_OUT
from tests.simulation.judgment.rules import Rule
from tests.simulation.leaks import Kind, PlannedLeak
from tests.simulation.loop import EPOCH
from tests.simulation.network import REGENERATE, REVOKE, Regenerated
from tests.simulation.refusals import Place
from tests.simulation.scenario import Scenario
from tests.simulation.world import ByHand, World

_OTHERS = "others"  # what confirms an execution that is not Sasquash's
_REFUSED = (401, 403)
_NOTING = f"PUT https://{STATE_ACCOUNT}.table.core.windows.net/accounts("
_ACTIONS = (REGENERATE, REVOKE, "comp=acl")
_AT_ONCE = 0.1  # seconds between noting an action and running it


@dataclass(frozen=True)
class Case:
    """A run that is over. `records` are by fingerprint, `alive` are the leaks that Azure accepts now."""

    world: World
    records: dict[str, Revocation]
    alive: frozenset[str]

    @classmethod
    async def of(cls, world: World) -> "Case":
        """Read all records, and try all leaks."""
        host = await world.any_host()
        planted = {row.fingerprint for row in world.scenario.rows}
        rows = world.storage.tables(STATE_ACCOUNT).tables["revocations"]
        fingerprints = [key for held in rows.values() for key in held if "~" not in key and key not in planted]
        found = [await host.app.fast_path.store.revocations.read(fingerprint) for fingerprint in fingerprints]
        alive = {leak.finding.fingerprint for leak in world.scenario.leaks if await _is_accepted(world, leak)}
        return cls(world, {one.fingerprint: one for one in found if one is not None}, frozenset(alive))

    @property
    def scenario(self) -> Scenario:
        return self.world.scenario

    @property
    def cloud(self) -> Cloud:
        return self.world.cloud

    def account(self, name: str) -> Account:
        """Return the account as ARM has it."""
        return self.cloud.accounts[name]

    def is_alive(self, leak: PlannedLeak) -> bool:
        """Whether Azure accepts the leak."""
        return leak.finding.fingerprint in self.alive

    def record_of(self, leak: PlannedLeak) -> Revocation | None:
        """Return the record of a leak: of its own report, or the one that decides on its secret."""
        record = self.records.get(leak.finding.fingerprint)
        if record is not None and record.reason is not Reason.DUPLICATE:
            return record
        deciding = self.deciding_on(leak)
        return deciding[0] if deciding else record

    def deciding_on(self, leak: PlannedLeak) -> list[Revocation]:
        """Return the records that decide on the secret of a leak."""
        secret = leak.finding.secret
        same = [record for record in self.records.values() if record.finding.secret == secret]
        return [record for record in same if record.reason is not Reason.DUPLICATE]

    def rotations(self, account: str, key_name: str | None = None) -> list[Regenerated]:
        """Return the rotations that ARM carried out for the app."""
        return [
            one
            for one in self.world.network.regenerated
            if one.account == account and key_name in (None, one.key_name)
        ]

    def by_hand(self, account: str, key_name: str) -> list[ByHand]:
        """Return the rotations of a key by people."""
        return [one for one in self.world.by_hand if (one.account, one.key_name) == (account, key_name)]

    def executed(self, action: ActionKind, account: str) -> list[Revocation]:
        """Return the records that hold an execution of ours."""
        return [
            record
            for record in self.records.values()
            if record.execution is not None
            and record.execution.confirmed_by != _OTHERS
            and (record.execution.action, record.account_name) == (action, account)
        ]

    def mails_about(self, record: Revocation) -> list[Mail]:
        """Return the mails whose subject names the secret of a record."""
        credential = record.finding.credential
        name = credential.c3id if credential is not None else record.fingerprint[:20]
        return [mail for mail in self.cloud.mails if name in mail.subject]

    @property
    def has_refusals(self) -> bool:
        """Whether anything was refused for a while, by a service or by a lock."""
        return bool(self.scenario.refusals) or self.world.acts["account locked"] > 0

    @property
    def silent(self) -> Rule:
        """The rule about an action that no record holds."""
        if any(one.status == 404 and one.place is Place.LISTING for one in self.scenario.refusals):
            return Rule.VANISHED
        if self.has_refusals:
            return Rule.SILENT_ROTATIONS
        if self.is_unnoted:
            return Rule.UNNOTED
        crashed = any(record.reason is Reason.CRASHED for record in self.records.values())
        return Rule.CRASHED_ROTATIONS if crashed else Rule.KEYS

    @property
    def is_unnoted(self) -> bool:
        """Whether a host acted, and its lock's row did not get the leaks that it acted for."""
        calls = self.world.network.calls
        lost = [one for one in calls if one.line.startswith(_NOTING) and one.fate in NOT_CARRIED_OUT]
        acted = [one for one in calls if any(part in one.line for part in _ACTIONS)]
        return any((note.app == act.app and abs(note.at - act.at) < _AT_ONCE) for note in lost for act in acted)

    @property
    def story(self) -> Iterator[str]:
        """Yield how the records ended, for a reader of the story."""
        for record in self.records.values():
            changes = ", ".join(f"{seconds(one.at):.0f} {one.state}/{one.reason or ''}" for one in record.changes)
            yield f"record {record.fingerprint[:12]} of {record.account_name}: {changes}: {record.detail}"


def seconds(moment: datetime) -> float:
    """Return a time in seconds of the loop's clock."""
    return (moment - EPOCH).total_seconds()


def waits_for_a_person(record: Revocation) -> bool:
    """Whether a person had, or has, to decide: the mode asks, or it is the account's second key, or it crashed."""
    asked = any(change.state is State.AWAITING_APPROVAL for change in record.changes)
    decided = record.state in (State.AWAITING_APPROVAL, State.UNRESOLVED, State.DISMISSED)
    return (asked and decided) or record.reason is Reason.CRASHED


async def _is_accepted(world: World, leak: PlannedLeak) -> bool:
    """Whether Azure accepts the leaked credential: its data plane is asked with it."""
    account = world.cloud.accounts[leak.account]
    if leak.kind is Kind.KEY:
        planned = next(one for one in world.scenario.accounts if one.name == leak.account)
        return leak.key_name is not None and account.keys[leak.key_name] == planned.keys[leak.key_name]
    url, _, query = leak.text.partition("?")
    if leak.policy is not None and leak.policy.service == "blob":
        url = f"{url}/none"  # without more, the URL of a blob in the root container
    if ".queue." in url:
        query = f"comp=metadata&{query}"
    answer = await world.storage(Request.of("GET", f"{url}?{query}", {"x-ms-version": "2021-12-02"}, b""))
    return answer.status not in _REFUSED
