"""The triggers of Sasquash. Each binds, calls what it is for in `shared`, and returns."""

import asyncio
import os
from functools import cache

import azure.functions as func

from shared.app import App, IntakeApp
from shared.domain.report import Report
from shared.errors import SettingsError
from shared.factories.http import Http
from shared.factories.intake import IntakeServices
from shared.intake_settings import IntakeSettings
from shared.operations import warmup
from shared.persistence import alert_queue, event_queue, queues
from shared.settings import Settings, is_switched_off

app = func.FunctionApp()

# Seconds of the five minutes of a run; the rest is for the mails.
_UPDATING = 120
_RECHECKING = 150

# Where `contain` is switched off, nothing is revoked: the app is a separate intake. Which function receives findings
# depends on the network.
INTAKE_ALONE = is_switched_off(os.environ, "contain")

# Read at start, so that a missing or malformed setting stops the app here and not at three in the morning.
SETTINGS = IntakeSettings.read(os.environ) if INTAKE_ALONE else Settings.read(os.environ)


@cache
def sasquash() -> App:
    """The app of this process, built when it warms up or, where it does not, when the first trigger fires."""
    if isinstance(SETTINGS, IntakeSettings):  # the host's master key runs a disabled function, too
        raise SettingsError("This app is a separate intake: it has no settings of the responder.")
    return App(SETTINGS)


@cache
def _separate_intake() -> IntakeServices | None:
    return IntakeApp(SETTINGS).services if isinstance(SETTINGS, IntakeSettings) else None


def intake() -> Http | IntakeServices:
    """The intake of this process: that of the app, or one without a responder."""
    return _separate_intake() or sasquash().http


async def _warm_up() -> None:
    await sasquash().fast_path.warm_up.run()


# Kept, so that it is not collected.
WARMING_UP = None if INTAKE_ALONE else warmup.begin(_warm_up)


@app.event_grid_trigger(arg_name="event")
async def on_finding(event: func.EventGridEvent) -> None:
    """A finding from the Event Grid topic, as a CloudEvent or in the Event Grid schema.

    The inventory is refreshed afterwards, if it is old: where accounts leak, accounts are made.
    """
    await sasquash().fast_path.ingest.receive(_report(event))
    await sasquash().fast_path.accounts.take_inventory()


@app.queue_trigger(arg_name="message", queue_name=queues.FINDINGS_QUEUE, connection="SASQUASH_STORAGE")
async def on_queued_finding(message: func.QueueMessage) -> None:
    """The same in a private network, where Event Grid can't call the app: it delivers to a queue."""
    for report in event_queue.read(message.get_body()):
        await sasquash().fast_path.ingest.receive(report)
    await sasquash().fast_path.accounts.take_inventory()


@app.queue_trigger(arg_name="message", queue_name=queues.CONTAIN_QUEUE, connection="SASQUASH_STORAGE")
async def contain(message: func.QueueMessage) -> None:
    """A record whose containment did not finish when its event came."""
    await sasquash().fast_path.containment.resume(queues.read(message.get_body()))


@app.queue_trigger(arg_name="message", queue_name=queues.FOLLOW_UP_QUEUE, connection="SASQUASH_STORAGE")
async def follow_up(message: func.QueueMessage) -> None:
    """A decided record: verification, incident, notifications."""
    await sasquash().background.follow_up.run(queues.read(message.get_body()))


@app.queue_trigger(
    arg_name="message", queue_name=queues.FINDINGS_QUEUE + queues.POISON, connection="SASQUASH_STORAGE"
)
async def findings_poison(message: func.QueueMessage) -> None:
    """A finding that `on_queued_finding` could not record."""
    await sasquash().background.poison_messages.finding(message.get_body())


@app.queue_trigger(arg_name="message", queue_name=queues.CONTAIN_QUEUE + queues.POISON, connection="SASQUASH_STORAGE")
async def contain_poison(message: func.QueueMessage) -> None:
    """A message on which `contain` failed each time."""
    await sasquash().background.poison_messages.failed(queues.CONTAIN_QUEUE, message.get_body())


@app.queue_trigger(
    arg_name="message", queue_name=queues.FOLLOW_UP_QUEUE + queues.POISON, connection="SASQUASH_STORAGE"
)
async def follow_up_poison(message: func.QueueMessage) -> None:
    """A message on which `follow_up` failed each time."""
    await sasquash().background.poison_messages.failed(queues.FOLLOW_UP_QUEUE, message.get_body())


@app.queue_trigger(arg_name="message", queue_name=queues.INTAKE_QUEUE + queues.POISON, connection="SASQUASH_STORAGE")
async def intake_poison(message: func.QueueMessage) -> None:
    """An alert that could not be read at all."""
    await sasquash().background.poison_messages.unread(message.get_body())


@app.timer_trigger(arg_name="timer", schedule="30 */5 * * * *")
async def collect_dead_letters(timer: func.TimerRequest) -> None:  # noqa: ARG001 -- the binding wants it
    """Process what Event Grid gave up on, and log poison queues that are not empty."""
    await sasquash().background.poison_messages.check()
    await sasquash().background.dead_letters.collect()


@app.timer_trigger(arg_name="timer", schedule="15 * * * * *")
async def sweep(timer: func.TimerRequest) -> None:  # noqa: ARG001 -- the binding wants it
    """Each minute: records that are stuck, and approvals past their deadline."""
    await sasquash().background.sweeper.run()


@app.timer_trigger(arg_name="timer", schedule="45 * * * * *")
async def send_digest(timer: func.TimerRequest) -> None:  # noqa: ARG001 -- the binding wants it
    """Each minute: the incidents and the mail about what nobody confirmed, one an hour for each kind.

    The mail is sent even if the incidents fail, or take too long.
    """
    try:
        async with asyncio.timeout(_UPDATING):
            await sasquash().background.hourly_incidents.update()
    finally:
        await sasquash().background.summary_mail.send()


@app.timer_trigger(arg_name="timer", schedule="0 23 4 * * *")
async def look_again(timer: func.TimerRequest) -> None:  # noqa: ARG001 -- the binding wants it
    """Recheck leaks whose policy was missing or ended, which re-creating it re-enables, and those that are open.

    Then remind people of what Azure keeps refusing, also if the rechecks fail, or take too long.
    """
    try:
        async with asyncio.timeout(_RECHECKING):
            await sasquash().background.daily_rechecks.run()
    finally:
        await sasquash().background.refusal_reminders.run()


@app.timer_trigger(arg_name="timer", schedule="45 * * * * *")
async def copy_history(timer: func.TimerRequest) -> None:  # noqa: ARG001 -- the binding wants it
    """Each minute: lines of the history that the copy in the workspace does not have yet."""
    copier = sasquash().background.history_copier
    if copier is not None:
        await copier.run()


@app.timer_trigger(arg_name="timer", schedule="10 52 2 * * *")
async def check_history(timer: func.TimerRequest) -> None:  # noqa: ARG001 -- the binding wants it
    """Once a day: whether histories were changed after they were written."""
    await sasquash().background.history_checks.run()


@app.timer_trigger(arg_name="timer", schedule="20 37 3 * * *")
async def prune_records(timer: func.TimerRequest) -> None:  # noqa: ARG001 -- the binding wants it
    """Once a day: remove records that ended long ago."""
    await sasquash().background.retention.run()


@app.timer_trigger(arg_name="timer", schedule="50 41 * * * *")
async def look_at_accounts(timer: func.TimerRequest) -> None:  # noqa: ARG001 -- the binding wants it
    """Check each account once a day: what would prevent a revocation. And which rows of ours can't be read.

    Then the index of keys: it is all that is left out if that takes too long.
    """
    await sasquash().background.unreadable_rows_check.run()
    await sasquash().background.readiness.run()
    indexer = sasquash().background.key_indexer
    if indexer is not None:
        await indexer.run()


@app.timer_trigger(arg_name="timer", schedule="40 */15 * * * *")
async def drill(timer: func.TimerRequest) -> None:  # noqa: ARG001 -- the binding wants it
    """Once a week: a leak on the drill account, and whether it was verified revoked."""
    await sasquash().background.drill.run()


@app.route("health", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
async def health_check(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 -- the binding wants it
    """Whether the app can do its work: 200, or 503 with what is wrong. The host sends no body to a HEAD."""
    return await intake().health.answer()


# The responders' API. A caller is known by an access token, which the API checks itself: a host key names no caller.


@app.route("revocations", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def submit_revocation(req: func.HttpRequest) -> func.HttpResponse:
    """Submit a leak to revoke, or order a containment action."""
    return await sasquash().http.revocation_api.submit(req)


@app.route("revocations", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def list_revocations(req: func.HttpRequest) -> func.HttpResponse:
    """The records, a page at a time."""
    return await sasquash().http.revocation_api.list_revocations(req)


@app.route("revocations/{id}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def read_revocation(req: func.HttpRequest) -> func.HttpResponse:
    """One record, with its history."""
    return await sasquash().http.revocation_api.read(req)


@app.route("revocations/{id}/approve", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def approve_revocation(req: func.HttpRequest) -> func.HttpResponse:
    """Approve a plan."""
    return await sasquash().http.revocation_api.approve(req)


@app.route("revocations/{id}/reject", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def reject_revocation(req: func.HttpRequest) -> func.HttpResponse:
    """Reject a plan."""
    return await sasquash().http.revocation_api.reject(req)


@app.route("revocations/{id}/retry", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def retry_revocation(req: func.HttpRequest) -> func.HttpResponse:
    """Decide again on a record that ended without a revocation."""
    return await sasquash().http.revocation_api.retry(req)


@app.route("revocations/{id}/undo-lockdown", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def undo_lockdown(req: func.HttpRequest) -> func.HttpResponse:
    """Restore what a lockdown changed on an account."""
    return await sasquash().http.revocation_api.undo_lockdown(req)


@app.route("readiness", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def read_readiness(req: func.HttpRequest) -> func.HttpResponse:
    """What would prevent a revocation, and the results of the drills."""
    return await sasquash().http.readiness_api.read(req)


@app.route("sas", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def list_sas_in_use(req: func.HttpRequest) -> func.HttpResponse:
    """The SAS that the storage logs show in use, a page at a time."""
    return await sasquash().http.sas_api.read(req)


@app.route("desk/{file?}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def serve_desk(req: func.HttpRequest) -> func.HttpResponse:
    """The console in the browser. Its files hold no secret; the data comes from the API."""
    return sasquash().http.console.answer(req)


# The intake. It may be an app of its own, with these two functions and no others (docs/sources.md).


@app.route("intake/{source}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def take_report(req: func.HttpRequest) -> func.HttpResponse:
    """A report of another tool, which authenticates its sender."""
    return await intake().intake.receive(req)


@app.queue_trigger(arg_name="message", queue_name=queues.INTAKE_QUEUE, connection="SASQUASH_STORAGE")
async def read_alert(message: func.QueueMessage) -> None:
    """An alert that could not be read when its report came."""
    await intake().alert_reader.resume(alert_queue.read(message.get_body()))


def _report(event: func.EventGridEvent | func.CloudEvent) -> Report:
    """Read either schema: the binding goes by the payload, whatever the annotation says."""
    if isinstance(event, func.CloudEvent):
        return Report(event.id, event.type, event.source, event.get_json())
    return Report(event.id, event.event_type, event.topic or event.subject, event.get_json())
