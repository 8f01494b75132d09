"""Runs the scenario step by step, prints a timeline, and checks the outcome."""

import os
import shutil
import textwrap
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from local.demo import scenario, watch
from local.demo.watch import ControlPort, DemoError, wait_for
from shared.domain.revocation import Revocation
from shared.domain.states import State

type Say = Callable[[str], None]


def run(*, say: Say, mail_file: Path, mail_lines: int) -> None:
    """Leak a token, attack, report the leak, and watch Sasquash. Raises DemoError where the outcome is wrong."""
    control = ControlPort(os.environ["SASQUASH_CONTROL"])
    account = control.make_account(scenario.ACCOUNT, owner=scenario.OWNER)
    say(f"\nStorage account {scenario.ACCOUNT}: public container models, private container backups")
    scenario.fill(account["key1"])
    leak = scenario.leak(account["key2"])
    say(f"Leaked in a README: an account SAS with full access until {scenario.EXPIRES:%Y-%m-%d}, signed by key2")
    say("\nAn attacker uses the leaked token:")
    for line in scenario.attack(leak):
        say(f"  → {line}")
    say("\nA scanner reports the leak to Event Grid (the token's parameters and a hash, never its signature):\n")
    published_at = scenario.report(leak, os.environ["SASQUASH_TOPIC_ENDPOINT"])

    refused_after, verified_after = _timeline(say, control, leak, published_at)
    state = control.state()
    _show_incident(say, state)
    _show_mail(say, state, mail_file, mail_lines)
    _check(say, state, leak, account["key1"])
    say(
        f"\nRevoked after {refused_after:.1f} s, verified after {verified_after:.1f} s · "
        f"incident {state['incidents'][0]['id']} filed · mail sent to {', '.join(state['mails'][0]['to'])}"
    )


def _timeline(say: Say, control: ControlPort, leak: scenario.Leak, start: datetime) -> tuple[float, float]:
    """Print each step as it happens; return the seconds until the token was refused, and until that was verified."""

    def line(at: datetime, what: str) -> None:
        say(f"  {_seconds(at, start):6.2f} s  {what}")

    line(start, "finding published")
    record, _ = wait_for(lambda: _when(watch.record(), lambda r: r.execution is not None), "the containment action")
    if record.key_name != "key2" or record.execution is None or record.attributed_at is None:
        raise DemoError(f"the leak was attributed to {record.key_name}, not to key2")
    line(record.attributed_at, "attributed to key2 by signature verification")
    line(record.execution.at, "key2 regenerated")
    refused, refused_at = wait_for(lambda: scenario.refusal(leak.query), "refusal of the leaked token")
    line(refused_at, f"leaked token refused: {refused}")
    _, filed_at = wait_for(lambda: control.state()["incidents"] or None, "the incident")
    line(filed_at, "incident filed")
    mails, mailed_at = wait_for(lambda: control.state()["mails"] or None, "the mail")
    line(mailed_at, f"mail sent to {', '.join(mails[0]['to'])}")
    closed, closed_at = wait_for(
        lambda: _when(watch.record(), lambda r: r.state is State.CLOSED), "the closed record"
    )
    if closed.verification is None:
        raise DemoError("the record was closed without verification")
    line(closed_at, f"closed: verified revoked at {_seconds(closed.verification.at, start):.2f} s, no open items")
    wait_for(lambda: control.state()["incidents"][0]["Status"] == "closed" or None, "the closed incident")
    return _seconds(refused_at, start), _seconds(closed.verification.at, start)


def _when(record: Revocation | None, condition: Callable[[Revocation], bool]) -> Revocation | None:
    if record is not None and record.state in (State.FAILED, State.UNRESOLVED, State.DISMISSED):
        raise DemoError(f"the record is {record.state} ({record.reason}): {record.detail}")
    return record if record is not None and condition(record) else None


def _show_incident(say: Say, state: dict[str, Any]) -> None:
    say("\nIncident (SharePoint list item)")
    for column in ("Title", "Severity", "Status", "Account", "Key", "Source", "Owners", "Summary"):
        value, name = str(state["incidents"][0].get(column, "")), column
        for line in value.splitlines() or [""]:
            say(_wrapped(line, f"  {name:9} "))
            name = ""


def _show_mail(say: Say, state: dict[str, Any], file: Path, lines: int) -> None:
    mail = state["mails"][0]
    file.write_text(mail["body"])
    text = watch.plain_text(mail["body"]).splitlines()
    say(f"\nMail to {', '.join(mail['to'])}\n  Subject: {mail['subject']}\n")
    for part in text[:lines]:
        say(_wrapped(part, "  "))
    if len(text) > lines:
        say(f"  … ({len(text) - lines} more lines in {file})")


def _check(say: Say, state: dict[str, Any], leak: scenario.Leak, key1: str) -> None:
    """Print what must be true now, and whether it is. Raises DemoError where it is not."""
    rotations = [rotation["key"] for rotation in state["accounts"][scenario.ACCOUNT]["rotations"]]
    recipients = {recipient for mail in state["mails"] for recipient in mail["to"]}
    summary = state["incidents"][0]["Summary"]
    checks = {
        "the leaked token is refused": scenario.refusal(leak.query) is not None,
        "key1 still works: the owner restored the original model with it": scenario.restore(key1) == "yes",
        "key2 was regenerated once, key1 never": rotations == ["key2"],
        "one incident was filed": len(state["incidents"]) == 1,
        "the owner was notified": scenario.OWNER in recipients,
        "the incident lists what the attacker did": all(done in summary for done in scenario.DONE),
        "the incident names the container that is still public": "Container models is public" in summary,
        "neither incident nor mail contains the signature": leak.query.split("sig=")[1].split("&")[0]
        not in str(state["incidents"]) + str(state["mails"]),
    }
    say("\nChecks")
    for what, holds in checks.items():
        say(f"  {'✓' if holds else '✗'} {what}")
    missed = [what for what, holds in checks.items() if not holds]
    if missed:
        raise DemoError("; ".join(missed))


def _wrapped(line: str, label: str) -> str:
    """Return `line` wrapped to the width of the terminal, with `label` in the margin."""
    width = max(shutil.get_terminal_size((100, 24)).columns, 40)
    return textwrap.fill(
        line, width, initial_indent=label, subsequent_indent=" " * len(label), break_on_hyphens=False
    )


def _seconds(at: datetime, start: datetime) -> float:
    return (at - start).total_seconds()
