"""Invocations of functions on Microsoft's Functions worker: timeout, outcome, and two log lines each."""

import asyncio
import logging
import time
import traceback
import uuid
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta

from azure_functions_runtime.bindings.datumdef import Datum
from azure_functions_runtime.native_invocation import invocation_request_native

from local.host.app_loader import Function

_log = logging.getLogger("host")
_RUNTIME_LOGGER = "azure.functions"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an invocation ended. `value` is the return value; None if there is none or it failed."""

    succeeded: bool
    value: Datum | None = None


@dataclass(slots=True)
class _Failure:
    """Receives the exception of a failed invocation from the log record of the Functions worker."""

    error: BaseException | None = None


_failure: ContextVar[_Failure | None] = ContextVar("failure", default=None)


class _RuntimeLog(logging.Filter):
    """A log filter: drops records of the Functions worker below WARNING, and takes the exception of a failure.

    Its report of a failure quotes the text of the exception, which may quote an event. `Invoker` logs type and
    location instead.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        current = _failure.get()
        if current is not None and record.exc_info is not None:
            current.error = record.exc_info[1]
            return False
        return record.levelno >= logging.WARNING and record.exc_info is None


def quiet_runtime() -> None:
    """Install the filter on the logger of the Functions worker. Call it before an app is loaded."""
    logging.getLogger(_RUNTIME_LOGGER).addFilter(_RuntimeLog())


@dataclass(slots=True)
class Invoker:
    """Runs functions on this event loop. An invocation continues if its caller is canceled."""

    timeout: timedelta | None
    _running: set[asyncio.Task[Outcome]] = field(default_factory=set)

    async def invoke(
        self, function: Function, payload: Datum, metadata: Mapping[str, Datum] | None = None
    ) -> Outcome:
        """Call `function` with `payload`. Exceptions of the function are part of the outcome."""
        task = asyncio.create_task(self._invoke(function, payload, metadata or {}))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def drain(self) -> None:
        """Wait until no invocation is running."""
        while self._running:
            await asyncio.wait(self._running)

    async def _invoke(self, function: Function, payload: Datum, metadata: Mapping[str, Datum]) -> Outcome:
        invocation_id = str(uuid.uuid4())
        name = function.name
        failure = _Failure()
        _failure.set(failure)
        _log.info("Executing '%s' (Id=%s)", name, invocation_id)
        started = time.monotonic()
        ended = "Failed"
        succeeded = False
        value = None
        try:
            async with asyncio.timeout(self.timeout.total_seconds() if self.timeout else None):
                succeeded, value, _, _, _ = await invocation_request_native(
                    invocation_id, function.function_id, [(function.parameter, payload)], dict(metadata)
                )
        except TimeoutError:
            ended = f"Timed out after {self.timeout}"
        except asyncio.CancelledError as cancelled:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            failure.error = cancelled  # the function itself was canceled by something that it awaited
        milliseconds = round((time.monotonic() - started) * 1000)
        if succeeded:
            _log.info("Executed '%s' (Succeeded, Id=%s, Duration=%dms)", name, invocation_id, milliseconds)
        else:
            _log.error(
                "Executed '%s' (%s, Id=%s, Duration=%dms): %s",
                name,
                ended,
                invocation_id,
                milliseconds,
                _describe(failure.error),
            )
        return Outcome(succeeded=bool(succeeded), value=value)


def _describe(error: BaseException | None) -> str:
    """Return type and location of an exception and its causes, without their texts."""
    parts = []
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        frames = traceback.extract_tb(error.__traceback__)
        place = f" at {frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""
        parts.append(f"{type(error).__qualname__}{place}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return " <- ".join(parts) or "no exception"
