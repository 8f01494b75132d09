"""The use of a leak according to the storage logs, in English: for mail, incident and history."""

from shared.domain.revocation import Revocation
from shared.domain.target import ActionKind
from shared.domain.text import Foreign, utc
from shared.domain.usage import Client, Touched, Usage

_SHOWN = 5  # clients and objects each
_UNITS = ("bytes", "KB", "MB", "GB", "TB")


def summary(usage: Usage) -> str:
    """Return one sentence for the history."""
    if usage.unknown:
        return f"Usage is unknown. {usage.unknown}"
    if not usage.requests:
        return f"The logs of the last {usage.days} days show no use of it."
    return (
        f"The logs of the last {usage.days} days show {_times(usage.requests, 'request')} with it; "
        f"{usage.served} were served."
    )


def used(usage: Usage | None, revocation: Revocation) -> tuple[str, ...]:
    """Return what is known of a leak's use, the worst first; empty if it was not checked yet."""
    if usage is None:
        return ()
    if usage.unknown:
        return (f"Usage is unknown. {usage.unknown}",)
    if not usage.requests or usage.first is None or usage.last is None:
        return (
            f"No use in the last {usage.days} days, according to the account's logs as of {utc(usage.at)}. "
            "Logs lag by some minutes.",
        )
    return (
        *_poison(usage),
        f"Used {_times(usage.requests, 'time')}, from {utc(usage.first)} to {utc(usage.last)}; "
        f"{_times(usage.served, 'request')} served.",
        f"Served: {_size(usage.bytes_out)} read, {_times(usage.writes, 'write')}, {_times(usage.deletes, 'delete')}.",
        *_afterwards(usage, revocation),
        f"Clients: {_clients(usage.clients)}.",
        *((f"Objects: {_objects(usage.objects)}.",) if usage.objects else ()),
    )


def also_affected(usage: Usage | None, revocation: Revocation) -> tuple[str, ...]:
    """Return the other clients of the key that is revoked."""
    plan = revocation.plan
    if usage is None or usage.others is None or plan is None or plan.action is not ActionKind.ACCOUNT_KEY:
        return ()
    if not usage.others:
        return (f"No other client used {plan.target} in the last {usage.days} days, according to the logs.",)
    return (f"Other clients of {plan.target} in the last {usage.days} days: {_clients(usage.others)}.",)


def _poison(usage: Usage) -> tuple[str, ...]:
    if not usage.poisoned:
        return ()
    return (
        f"FILES THAT RUN WHEN OPENED WERE WRITTEN: {_objects(usage.poisoned)}. Do not open them. Restore an "
        "earlier version.",
    )


def _afterwards(usage: Usage, revocation: Revocation) -> tuple[str, ...]:
    if revocation.execution is None:
        return ()
    if usage.served_after:
        return (f"{_times(usage.served_after, 'request')} SERVED after the revocation.",)
    return ("No request was served after the revocation.",)


def _clients(clients: tuple[Client, ...]) -> str:
    shown = [
        f"{Foreign(c.address or 'unknown address')} ({Foreign(c.agent or 'no user agent')}, {c.requests})"
        for c in clients[:_SHOWN]
    ]
    return ", ".join(shown) + _more(len(clients))


def _objects(objects: tuple[Touched, ...]) -> str:
    return ", ".join(_object(each) for each in objects[:_SHOWN]) + _more(len(objects))


def _object(touched: Touched) -> str:
    written = f", {touched.written} to write" if touched.written else ""
    return f"{Foreign(touched.name)} ({_times(touched.requests, 'request')}{written})"


def _more(there: int) -> str:
    return f" and {there - _SHOWN} more" if there > _SHOWN else ""


def _times(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _size(number: int) -> str:
    """Return "3.2 MB", in powers of 1000 as bills have them."""
    size, unit = float(number), 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{number} bytes"
