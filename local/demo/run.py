"""The story, told in order, and what came of it."""

import os
import shutil
import textwrap
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from local.demo import story, watch
from local.demo.watch import Control, DemoError, until
from shared.domain.revocation import Revocation, State

type Say = Callable[[str], None]


def tell(*, say: Say, mail_file: Path, mail_lines: int) -> None:
    """Leak, attack, report, and watch Sasquash. Raises DemoError when anything did not happen as it must."""
    control = Control(os.environ["SASQUASH_CONTROL"])
    account = control.make_account(story.ACCOUNT, owner=story.OWNER)
    say(f"\nStorage account {story.ACCOUNT}: public container models, private container backups")
    story.fill(account["key1"])
    leak = story.leak(account["key2"])
    say(f"Leaked in a README: an account SAS, full control, until {story.EXPIRES:%Y-%m-%d}, signed with key2")
    say("\nThe attacker, with the leaked token:")
    for line in story.attack(leak):
        say(f"  → {line}")
    say("\nThe scanner publishes its finding to Event Grid (parameters and a hash: nothing that could be used)\n")
    published_at = story.report(leak, os.environ["SASQUASH_TOPIC_ENDPOINT"])

    refused_after, proven_after = _timeline(say, control, leak, published_at)
    state = control.state()
    _show_incident(say, state)
    _show_mail(say, state, mail_file, mail_lines)
    _check(say, state, leak, account["key1"])
    say(
        f"\nDead after {refused_after:.1f} s, proven after {proven_after:.1f} s · "
        f"incident {state['incidents'][0]['id']} filed · mail to {', '.join(state['mails'][0]['to'])}"
    )


def _timeline(say: Say, control: Control, leak: story.Leak, start: datetime) -> tuple[float, float]:
    """Print what happens as it happens; return after how many seconds the token was refused, and proven dead."""

    def line(at: datetime, what: str) -> None:
        say(f"  {_seconds(at, start):6.2f} s  {what}")

    line(start, "found: the event is published")
    executed, _ = until(lambda: _when(watch.record(), lambda r: r.execution is not None), "the lever pulled")
    if executed.key_name != "key2" or executed.execution is None or executed.attributed_at is None:
        raise DemoError(f"attributed to {executed.key_name}, not to key2")
    line(executed.attributed_at, "attributed to key2, by arithmetic")
    line(executed.execution.at, "key2 regenerated")
    refused, refused_at = until(lambda: story.refusal(leak.query), "the leaked token refused")
    line(refused_at, f"the attacker is refused: {refused}")
    _, filed_at = until(lambda: control.state()["incidents"] or None, "the incident filed")
    line(filed_at, "incident filed")
    mails, mailed_at = until(lambda: control.state()["mails"] or None, "the mail sent")
    line(mailed_at, f"owner mailed: {', '.join(mails[0]['to'])}")
    closed, closed_at = until(lambda: _when(watch.record(), lambda r: r.state is State.CLOSED), "the record closed")
    if closed.verification is None:
        raise DemoError("the record is closed without a proof")
    line(closed_at, f"closed: proven dead at {_seconds(closed.verification.at, start):.2f} s, reported, nothing open")
    until(lambda: control.state()["incidents"][0]["Status"] == "closed" or None, "the incident closed")
    return _seconds(refused_at, start), _seconds(closed.verification.at, start)


def _when(record: Revocation | None, condition: Callable[[Revocation], bool]) -> Revocation | None:
    if record is not None and record.state in (State.FAILED, State.UNRESOLVED, State.DISMISSED):
        raise DemoError(f"the record ended as {record.state} ({record.reason}): {record.detail}")
    return record if record is not None and condition(record) else None


def _show_incident(say: Say, state: dict[str, Any]) -> None:
    say("\nThe incident (SharePoint list item)")
    for column in ("Title", "Severity", "Status", "Account", "Key", "Source", "Owners", "Summary"):
        value, name = str(state["incidents"][0].get(column, "")), column
        for line in value.splitlines() or [""]:
            say(_wrapped(line, f"  {name:9} "))
            name = ""


def _show_mail(say: Say, state: dict[str, Any], file: Path, lines: int) -> None:
    mail = state["mails"][0]
    file.write_text(mail["body"])
    text = watch.plain_text(mail["body"]).splitlines()
    say(f"\nThe mail to {', '.join(mail['to'])}\n  Subject: {mail['subject']}\n")
    for part in text[:lines]:
        say(_wrapped(part, "  "))
    if len(text) > lines:
        say(f"  … ({len(text) - lines} more lines; the whole mail: {file})")


def _check(say: Say, state: dict[str, Any], leak: story.Leak, key1: str) -> None:
    """Check what must be true in the end, and say so."""
    rotations = [rotation["key"] for rotation in state["accounts"][story.ACCOUNT]["rotations"]]
    told = {recipient for mail in state["mails"] for recipient in mail["to"]}
    summary = state["incidents"][0]["Summary"]
    checks = {
        "the leaked token is refused": story.refusal(leak.query) is not None,
        "key1 still works, and the owner puts the honest model back with it": story.restore(key1) == "yes",
        "key2 was rotated once, key1 never": rotations == ["key2"],
        "one incident": len(state["incidents"]) == 1,
        "the owner was told": story.OWNER in told,
        "the incident tells what the attacker did": all(done in summary for done in story.DONE),
        "the incident names the container that stays open": "Container models is public" in summary,
        "no signature in incident or mail": leak.query.split("sig=")[1].split("&")[0]
        not in str(state["incidents"]) + str(state["mails"]),
    }
    say("")
    for what, holds in checks.items():
        say(f"  {'✓' if holds else '✗'} {what}")
    missed = [what for what, holds in checks.items() if not holds]
    if missed:
        raise DemoError("; ".join(missed))


def _wrapped(line: str, label: str) -> str:
    """A line broken to the terminal's width, its label in a margin of its own."""
    width = max(shutil.get_terminal_size((100, 24)).columns, 40)
    return textwrap.fill(
        line, width, initial_indent=label, subsequent_indent=" " * len(label), break_on_hyphens=False
    )


def _seconds(at: datetime, start: datetime) -> float:
    return (at - start).total_seconds()
