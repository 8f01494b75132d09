"""The triggers of Sasquash. Each binds, calls one function of `shared`, and returns."""

import os
from functools import cache

import azure.functions as func

from shared import health, queues
from shared.finding import Report
from shared.settings import Settings
from shared.worker import Worker

app = func.FunctionApp()

# Read at start, so that a missing or malformed setting stops the app here and not at three in the morning.
SETTINGS = Settings.read(os.environ)


@cache
def worker() -> Worker:
    """The one worker of this process, made when the first trigger fires."""
    return Worker(SETTINGS)


@app.event_grid_trigger(arg_name="event")
async def on_finding(event: func.EventGridEvent) -> None:
    """A finding from the Event Grid topic, as a CloudEvent or in the Event Grid schema."""
    await worker().containment.receive(_report(event))


@app.queue_trigger(arg_name="message", queue_name=queues.CONTAIN_QUEUE, connection="SASQUASH_STORAGE")
async def contain(message: func.QueueMessage) -> None:
    """A record whose containment did not finish when its event came."""
    await worker().containment.resume(queues.read(message.get_body().decode()))


@app.queue_trigger(arg_name="message", queue_name=queues.FOLLOW_UP_QUEUE, connection="SASQUASH_STORAGE")
async def follow_up(message: func.QueueMessage) -> None:
    """A decided record: proof, incident, people."""
    await worker().follow_up.run(queues.read(message.get_body().decode()))


@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health_check(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 -- the binding wants it
    """Whether the app can do its work: 200, or 503 with what is wrong."""
    return await health.answer(worker().ledger)


def _report(event: func.EventGridEvent | func.CloudEvent) -> Report:
    """Read either schema: the binding goes by the payload, whatever the annotation says."""
    if isinstance(event, func.CloudEvent):
        return Report(event.id, event.type, event.source, event.get_json())
    return Report(event.id, event.event_type, event.topic or event.subject, event.get_json())
