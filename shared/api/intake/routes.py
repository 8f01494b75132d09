"""POST /api/intake/{source}: a report of another tool, answered item by item."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import azure.functions as func

from shared.api import problems
from shared.api.intake.delivery_cache import Deliveries
from shared.api.intake.registry import Posted, Reporter, Reporters
from shared.api.responses import as_json
from shared.cloud.event_grid import Publisher
from shared.containment.rate_limit import RateLimit
from shared.errors import InvalidRequest, QuotaExceeded, SasquashError, Unauthenticated
from shared.sources.alert_reader import AlertReader
from shared.sources.entries import InvalidPayload
from shared.sources.json_body import TooLarge
from shared.sources.parsing import Item, Result, items_of

_log = logging.getLogger(__name__)

LONGEST = 4 * 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a report, item by item."""

    items: tuple[Item, ...]

    def to_json(self) -> dict[str, object]:
        """Return the body of the answer."""
        counted = {result.value: sum(item.result is result for item in self.items) for result in Result}
        return {**counted, "items": [item.to_json(number) for number, item in enumerate(self.items)]}

    @property
    def status(self) -> int:
        """202 where something is on its way, else 200."""
        return 202 if any(item.result is Result.ACCEPTED for item in self.items) else 200


class Intake:
    """Answers the reports of other tools."""

    def __init__(
        self,
        *,
        reporters: Reporters,
        publisher: Publisher,
        alerts: AlertReader,
        quotas: RateLimit,
        clock: Callable[[], datetime],
    ) -> None:
        self._reporters = reporters
        self._publisher = publisher
        self._alerts = alerts
        self._quotas = quotas
        self._clock = clock
        self._deliveries: Deliveries[Answer] = Deliveries(clock=clock)

    async def receive(self, request: func.HttpRequest) -> func.HttpResponse:
        """Take a report in. Before it is known to be its source's own, nothing of it is looked at."""
        try:
            answer = await self._receive(request)
        except Unauthenticated as error:
            _log.warning("A report to the intake was refused: %s", error)
            return problems.answer(error, challenge=self._reporters.challenge(error))
        except SasquashError as error:
            _log.warning("A report to the intake came to nothing (%s): %s", error.code, error)
            return problems.answer(error)
        return as_json(answer.to_json(), status=answer.status)

    async def _receive(self, request: func.HttpRequest) -> Answer:
        reporter = self._reporters.find(str(request.route_params.get("source", "")))
        body = request.get_body()
        if len(body) > LONGEST:
            raise TooLarge(f"The body is over {LONGEST} bytes: report it in parts, or pipe it (docs/sources.md).")
        posted = Posted(request.headers, body)
        delivery = await reporter.authenticate(posted)
        known = self._deliveries.answered(reporter.name, delivery)
        if known is not None:
            return known
        answer = await self._take(reporter, posted)
        self._deliveries.note(reporter.name, delivery, answer)
        return answer

    async def _take(self, reporter: Reporter, posted: Posted) -> Answer:
        """Publish what a report holds, all of it or nothing. Raises TransientFailure: it is to be sent again."""
        try:
            # A long report takes a second, and other reports come meanwhile.
            items = await asyncio.to_thread(
                lambda: items_of(reporter.read(posted), source=reporter.name, now=self._clock())
            )
        except InvalidPayload as error:
            raise InvalidRequest(str(error)) from None
        findings = {finding.fingerprint: finding for item in items for finding in item.findings}
        amount = len(findings) + sum(item.alert is not None for item in items)
        wait = self._quotas.take(reporter.name, amount) if amount else 0.0
        if wait:
            raise QuotaExceeded(
                "The source reports more credentials than SASQUASH_INTAKE_QUOTA lets it. Nothing was published: send "
                "it again later.",
                retry_after=wait,
            )
        await self._publisher.publish(findings.values(), source=reporter.name)
        read = await self._alerts.take(item.alert for item in items if item.alert is not None)
        return Answer(tuple(item if item.alert is None else item.read_as(read[item.alert]) for item in items))
