"""POST /api/intake/{source}: accepts a report of another tool, and returns what became of its items."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated

import azure.functions as func
import msgspec
from msgspec import Meta, Struct

from shared.api import problems
from shared.api.intake.delivery_cache import Deliveries, Response
from shared.api.intake.limits import MOST_ITEMS, Parsers, check_length, check_values
from shared.api.intake.registry import Posted, Reporter, Reporters
from shared.api.request_body import read_body
from shared.api.responses import of_json
from shared.cloud.event_grid import Publisher
from shared.containment.rate_limit import RateLimit
from shared.domain.finding import Finding
from shared.errors import InvalidRequest, QuotaExceeded, SasquashError, Unauthenticated
from shared.sources.alert_reader import AlertReader
from shared.sources.entries import InvalidPayload
from shared.sources.parsing import Item, ItemResponse, Result, items_of, joined

_log = logging.getLogger(__name__)


class Reported(Struct, frozen=True, kw_only=True):
    """The results of a report."""

    accepted: Annotated[int, Meta(ge=0)]
    ignored: Annotated[int, Meta(ge=0)]
    invalid: Annotated[int, Meta(ge=0)]
    ignored_because: Annotated[
        dict[str, int],
        Meta(
            description="How many items were ignored for each reason: no_credential, other_event, other_secret or "
            "redacted."
        ),
    ]
    items: Annotated[
        tuple[ItemResponse, ...], Meta(description="The items that were accepted or are invalid, in their order.")
    ]

    @classmethod
    def of(cls, items: Sequence[Item]) -> "Reported":
        """Return the response for `items`: what was ignored is only counted, since most of a report may be."""
        counts = Counter(item.result for item in items)
        return cls(
            accepted=counts[Result.ACCEPTED],
            ignored=counts[Result.IGNORED],
            invalid=counts[Result.INVALID],
            ignored_because=dict(Counter(item.reason or "" for item in items if item.result is Result.IGNORED)),
            items=tuple(
                item.response(number) for number, item in enumerate(items) if item.result is not Result.IGNORED
            ),
        )


class Intake:
    """Accepts the reports of other tools."""

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
        self._deliveries = Deliveries(clock=clock)
        self._parsers = Parsers()

    async def receive(self, request: func.HttpRequest) -> func.HttpResponse:
        """Accept a report. Its source is authenticated before anything of it is read."""
        try:
            answer = await self._receive(request)
        except Unauthenticated as error:
            _log.warning("A report to the intake was refused: %s", error)
            return problems.answer(error, challenge=self._reporters.challenge(error))
        except SasquashError as error:
            _log.warning("A report to the intake failed (%s): %s", error.code, error)
            return problems.answer(error)
        return of_json(answer.content, status=answer.status)

    async def _receive(self, request: func.HttpRequest) -> Response:
        reporter = self._reporters.find(str(request.route_params.get("source", "")))
        body = read_body(request)  # before authentication: no signature matches a body that did not arrive
        check_length(body)
        posted = Posted(request.headers, body)
        sender = await reporter.authenticate(posted)
        known = self._deliveries.answered(reporter.name, sender.delivery, body)
        if known is not None:
            return known
        check_values(body)
        reported = await self._take(reporter, posted, submitted_by=sender.object_id)
        answer = Response(msgspec.json.encode(reported), 202 if reported.accepted else 200)
        self._deliveries.note(reporter.name, sender.delivery, body, answer)
        return answer

    async def _take(self, reporter: Reporter, posted: Posted, *, submitted_by: str | None) -> Reported:
        """Publish the findings of a report, all or none. Raises TransientFailure: the source has to send it again."""
        try:
            items, findings = await self._parsers.run(posted.body, lambda: self._read(reporter, posted, submitted_by))
        except InvalidPayload as error:
            raise InvalidRequest(str(error)) from None
        amount = len({finding.fingerprint for finding in findings}) + sum(item.alert is not None for item in items)
        wait = self._quotas.take(reporter.name, amount) if amount else 0.0
        if wait:
            raise QuotaExceeded(
                "The source exceeds SASQUASH_INTAKE_QUOTA (credentials per hour). Nothing was published: send the "
                "report again later.",
                retry_after=wait,
            )
        await self._publisher.publish(findings, source=reporter.name)
        alerts = (item.alert for item in items if item.alert is not None)
        read = await self._alerts.take(alerts, submitted_by=submitted_by)
        return Reported.of([item if item.alert is None else item.read_as(read[item.alert]) for item in items])

    def _read(
        self, reporter: Reporter, posted: Posted, submitted_by: str | None
    ) -> tuple[tuple[Item, ...], tuple[Finding, ...]]:
        """Return the items of a report, and their findings. Raises InvalidPayload or InvalidRequest."""
        items = items_of(reporter.read(posted), source=reporter.name, now=self._clock(), most=MOST_ITEMS)
        items, found = joined(items)
        return items, tuple(replace(finding, submitted_by=submitted_by) for finding in found)
