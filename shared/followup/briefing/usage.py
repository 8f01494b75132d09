"""What the logs tell of a leak's use, in English: for the mail, the incident and the history of the record."""

from shared.domain.revocation import Revocation
from shared.domain.target import ActionKind
from shared.domain.text import utc
from shared.domain.usage import Client, Touched, Usage

_SHOWN = 5  # clients and objects each
_UNITS = ("bytes", "KB", "MB", "GB", "TB")


def summary(usage: Usage) -> str:
    """Return one sentence for the history."""
    if usage.unknown:
        return f"Its use is not known. {usage.unknown}"
    if not usage.requests:
        return f"The logs of the last {usage.days} days know of no use of it."
    return (
        f"The logs of the last {usage.days} days know of {_times(usage.requests, 'request')} with it, of which "
        f"{usage.served} were served."
    )


def used(usage: Usage | None, revocation: Revocation) -> tuple[str, ...]:
    """Return what is known of a leak's use, the worst first; nothing where it was not asked yet."""
    if usage is None:
        return ()
    if usage.unknown:
        return (f"Nobody knows who used it. {usage.unknown}",)
    if not usage.requests or usage.first is None or usage.last is None:
        return (
            f"Nobody used it in the last {usage.days} days, as far as the account's logs know by {utc(usage.at)}; "
            "they lag by some minutes.",
        )
    return (
        *_poison(usage),
        f"It was used {_times(usage.requests, 'time')}, from {utc(usage.first)} to {utc(usage.last)}; "
        f"{usage.served} of them were served.",
        f"Served were {_size(usage.bytes_out)}, {_times(usage.writes, 'write')}, {_times(usage.deletes, 'delete')}.",
        *_afterwards(usage, revocation),
        f"By {_clients(usage.clients)}.",
        *((f"It touched {_objects(usage.objects)}.",) if usage.objects else ()),
    )


def also_affected(usage: Usage | None, revocation: Revocation) -> tuple[str, ...]:
    """Return who else uses the key behind the leak, where the key itself is what is revoked."""
    plan = revocation.plan
    if usage is None or usage.others is None or plan is None or plan.action is not ActionKind.ACCOUNT_KEY:
        return ()
    if not usage.others:
        return (f"As far as the logs of the last {usage.days} days know, nobody else used {plan.target}.",)
    return (f"By the logs of the last {usage.days} days, {plan.target} is also used by {_clients(usage.others)}.",)


def _poison(usage: Usage) -> tuple[str, ...]:
    if not usage.poisoned:
        return ()
    return (
        f"WRITTEN to what runs where it is opened: {_objects(usage.poisoned)}. Do not open it; restore it from "
        "before.",
    )


def _afterwards(usage: Usage, revocation: Revocation) -> tuple[str, ...]:
    if revocation.execution is None:
        return ()
    if usage.served_after:
        return (f"{_times(usage.served_after, 'request')} of them came after the lever was pulled, and were SERVED.",)
    return ("None was served after the lever was pulled.",)


def _clients(clients: tuple[Client, ...]) -> str:
    shown = [f"{c.address or 'nobody knows whom'} ({c.agent or 'no agent'}, {c.requests})" for c in clients[:_SHOWN]]
    return ", ".join(shown) + _more(len(clients))


def _objects(objects: tuple[Touched, ...]) -> str:
    shown = [
        f"{each.name} ({_times(each.requests, 'request')}{f', {each.written} to write' if each.written else ''})"
        for each in objects[:_SHOWN]
    ]
    return ", ".join(shown) + _more(len(objects))


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
