"""The wires of one simulated cloud: every remote call of every host goes through here, and meets its fate."""

import asyncio
import base64
import hashlib
import json
import math
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from local.memory.exchange import Answer, Request, Service
from local.memory.transport import Lost, Refused
from local.tenant.model import STATE_ACCOUNT, Account
from tests.simulation.faults import ANSWER_LOST, KILLS, Fate, Lifetime, Schedule
from tests.simulation.refusals import Refusal

LISTING = "/listKeys"
REGENERATE = "/regenerateKey"
REVOKE = "/revokeUserDelegationKeys"
SEND_MAIL = "/sendMail"
SUMMARY_LINE = f"PATCH https://{STATE_ACCOUNT}.table.core.windows.net/digest(PartitionKey='line~"
BATCH = "/$batch"
_NOTED = re.compile(rb'"Notifications": ?"(?:[^"\\]|\\.)*"')  # the column that says which mails were sent
_FINGERPRINT = re.compile(rb"[0-9a-f]{64}")


@dataclass(frozen=True)
class Call:
    """One remote call: by whom, what, and what became of it."""

    at: float
    app: str
    line: str
    fate: Fate


@dataclass(frozen=True)
class Regenerated:
    """A key that ARM regenerated for a host: when that was asked for, in seconds, and the SHA-256 of the new one."""

    account: str
    key_name: str
    sent: float
    sha256: str


@dataclass
class Network:
    """Carries calls to `services`, as `schedule` and `refusals` let it.

    A service is found by its host's name, or by its ending where a key begins with ".". `graph_down_until` is in
    seconds of the loop's clock.
    """

    services: Mapping[str, Service]
    schedule: Schedule
    clock: Callable[[], datetime]
    accounts: Mapping[str, Account]
    graph_down_until: float = 0.0
    refusals: tuple[Refusal, ...] = ()
    rng: random.Random = field(default_factory=lambda: random.Random(0))
    calls: list[Call] = field(default_factory=list)
    regenerated: list[Regenerated] = field(default_factory=list)
    lost_at: float = math.inf  # when an answer to an action was lost for the first time, in seconds
    revocations: Counter[str] = field(default_factory=Counter)  # of user delegation keys, by account
    late: set[asyncio.Task[Answer]] = field(default_factory=set)
    excused_mails: int = 0
    _recorded: Counter[bytes] = field(default_factory=Counter)  # mails, by record
    _unrecorded: dict[str, set[bytes]] = field(default_factory=dict)  # records that a mail went out about, by host
    _keys: dict[str, list[tuple[datetime, dict[str, str], dict[str, datetime]]]] = field(default_factory=dict)

    def service(self, life: Lifetime) -> Service:
        """Return the network as the host with this life sees it."""

        async def carry(request: Request) -> Answer:
            return await self._carry(request, life)

        return carry

    async def _carry(self, request: Request, life: Lifetime) -> Answer:
        if life.ended:
            await _never()
        await asyncio.sleep(0.004)  # nothing is answered at once
        if life.ended:
            await _never()
        line, now = request.line, asyncio.get_running_loop().time()
        fate = self.schedule.fate(line, at=now)
        if "graph.microsoft.com" in line and now < self.graph_down_until:
            fate = Fate.FAILED
        if fate in ANSWER_LOST and line.split("?")[0].endswith((REGENERATE, REVOKE)):
            self.lost_at = min(self.lost_at, now)
        asked = (one for one in self.refusals if one.meets(line, at=now, lost_at=self.lost_at, rng=self.rng))
        refusal = next(asked, None)
        if refusal is not None and fate not in KILLS:
            fate = Fate.DENIED
            self.schedule.injected[f"denied by {refusal.place}"] += 1
        self.calls.append(Call(now, life.name, line, fate))
        self._excuse(request, life, fate)
        if fate in KILLS:
            if fate is Fate.KILLED_AFTER:
                await self._answered(request, now)
            life.over.set()
            await _never()
        answer = refusal.answer(request) if refusal is not None else await self._meet(fate, request, line, now)
        if life.ended:
            await _never()
        self._record(request, life, answer)
        return answer

    async def _meet(self, fate: Fate, request: Request, line: str, sent: float) -> Answer:
        match fate:
            case Fate.REFUSED:
                raise Refused("no connection")
            case Fate.RESET:
                raise Lost("reset")
            case Fate.RESET_AFTER:
                await self._answered(request, sent)
                raise Lost("reset")
            case Fate.FAILED:
                return _error(503, "ServerBusy")
            case Fate.FAILED_AFTER:
                await self._answered(request, sent)
                return _error(503, "ServerBusy")
            case Fate.THROTTLED:
                return _error(429, "TooManyRequests", {"retry-after": "7"})
            case Fate.HUNG:
                await _never()
            case Fate.HUNG_AFTER:
                await self._answered(request, sent)
                await _never()
            case Fate.LATE:
                task = asyncio.create_task(self._later(request, self.schedule.delay(line), sent))
                self.late.add(task)
                raise Lost("reset")
            case Fate.STALE:
                return self._as_it_was(request, await self._answered(request, sent))
            case _:
                return await self._answered(request, sent)
        raise AssertionError("nothing comes after never")

    async def _later(self, request: Request, seconds: float, sent: float) -> Answer:
        await asyncio.sleep(seconds)
        return await self._answered(request, sent)

    async def _answered(self, request: Request, sent: float) -> Answer:
        service = self.services.get(request.host)
        if service is None:
            service = next(
                s for ending, s in self.services.items() if ending[0] == "." and request.host.endswith(ending)
            )
        answer = await service(request)
        self._remember_keys()
        if answer.status == 200 and request.path.endswith((REGENERATE, REVOKE)):
            self._note_action(request, answer, sent)
        return answer

    def _note_action(self, request: Request, answer: Answer, sent: float) -> None:
        account = request.path.split("/")[-2]
        if request.path.endswith(REVOKE):
            self.revocations[account] += 1
            return
        name = json.loads(request.body)["keyName"]
        value = next(key["value"] for key in json.loads(answer.body)["keys"] if key["keyName"] == name)
        digest = hashlib.sha256(base64.b64decode(value)).hexdigest()
        self.regenerated.append(Regenerated(account, name, sent, digest))

    def _excuse(self, request: Request, life: Lifetime, fate: Fate) -> None:
        """Count the mails that went out and may go out once more: something went wrong before they were recorded."""
        pending = self._unrecorded.setdefault(life.name, set())
        if SEND_MAIL in request.line or request.line.startswith(SUMMARY_LINE):  # a line alone is mailed like any mail
            pending.add(_record_in(request))
        if pending and fate is not Fate.DONE and fate is not Fate.STALE:
            self.excused_mails += len(pending)
            pending.clear()

    def _record(self, request: Request, life: Lifetime, answer: Answer) -> None:
        """Forget the mails that this request has recorded: a batch that was refused, as by 412, has not.

        A batch of another step has as many mails in its record as the one before.
        """
        noted = _NOTED.search(request.body) if BATCH in request.line else None
        if noted is None or b"HTTP/1.1 4" in answer.body:
            return
        found = _FINGERPRINT.search(request.body)
        name, count = found[0] if found is not None else b"", noted[0].count(b'to\\":')
        if count != self._recorded[name]:
            self._unrecorded.setdefault(life.name, set()).difference_update((name, b""))
        self._recorded[name] = count

    def _remember_keys(self) -> None:
        """Keep what the accounts' keys were when, for stale answers."""
        now = self.clock()
        for account in self.accounts.values():
            history = self._keys.setdefault(account.name, [])
            if not history or history[-1][1] != account.keys:
                history.append((now, dict(account.keys), dict(account.key_created)))

    def _as_it_was(self, request: Request, answer: Answer) -> Answer:
        """Return ARM's list of keys as it was some seconds ago."""
        name = request.path.split("/")[-2]
        then = self.clock() - timedelta(seconds=self.schedule.lag_seconds())
        history = self._keys.get(name, [])
        past = next((entry for entry in reversed(history) if entry[0] <= then), history[0] if history else None)
        if past is None or answer.status != 200:
            return answer
        body = json.loads(answer.body)
        for key in body["keys"]:
            key["value"] = past[1][key["keyName"]]
            key["creationTime"] = past[2][key["keyName"]].isoformat()
        return Answer(answer.status, answer.headers, json.dumps(body).encode())


def _error(status: int, code: str, headers: Mapping[str, str] | None = None) -> Answer:
    body = json.dumps({"error": {"code": code, "message": "A fault of the simulation."}}).encode()
    return Answer(status, {"content-type": "application/json", "x-ms-error-code": code, **(headers or {})}, body)


async def _never() -> None:
    await asyncio.get_running_loop().create_future()


def _record_in(request: Request) -> bytes:
    """Return the fingerprint of the record that a mail is about; nothing for a summary, which any batch records."""
    found = _FINGERPRINT.search(request.body)
    return found[0] if found is not None else b""
