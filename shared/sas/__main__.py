"""`python -m shared.sas`: JSON lines in, JSON lines out. `… explain`: a leak in plain English. `… scan`: files.

Leaks are read from standard input or from files only: other processes can read command lines.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import BinaryIO, TextIO

from . import scanning
from .answers import BadRequest, answer
from .explain import explain, explanation
from .extract import extract


def main(arguments: Sequence[str], *, stdin: BinaryIO, stdout: TextIO, stderr: TextIO = sys.stderr) -> int:
    """Return the exit code: 0; 1 when an input line was invalid, or when there was nothing to explain.

    Of `scan`: 0 when it found nothing, 1 when it found a credential, 2 when it could not read everything.
    """
    parser = argparse.ArgumentParser(prog="python -m shared.sas", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    explaining = commands.add_parser("explain", help="explain the leak on standard input")
    explaining.add_argument("--json", action="store_true", help="for a program")
    scanning.add_arguments(commands.add_parser("scan", help="find the credentials in files and folders"))
    chosen = parser.parse_args(arguments)
    if chosen.command == "explain":
        return _explain(stdin, stdout, as_json=chosen.json)
    if chosen.command == "scan":
        return scanning.run(chosen, stdin=stdin, stdout=stdout, stderr=stderr)
    return _answer_lines(stdin, stdout)


def _answer_lines(lines: Iterable[bytes], stdout: TextIO) -> int:
    failed = False
    for line in lines:
        if not line.strip():
            continue
        output = _answer_line(line)
        failed = failed or "error" in output
        stdout.write(f"{json.dumps(output)}\n")
        stdout.flush()
    return int(failed)


def _answer_line(line: bytes) -> dict[str, object]:
    """Return the result of one line, or an error that does not quote it."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return {"id": None, "error": "The line is not JSON in UTF-8."}
    try:
        return answer(request)
    except BadRequest as error:
        return {"id": request.get("id") if isinstance(request, dict) else None, "error": str(error)}


def _explain(stdin: BinaryIO, stdout: TextIO, *, as_json: bool) -> int:
    credentials = extract(stdin.read().decode("utf-8", errors="replace"))
    now = datetime.now(UTC)
    if as_json:
        stdout.write(f"{json.dumps(explanation(credentials, now=now), indent=2)}\n")
    else:
        stdout.write(explain(credentials, now=now))
    return 0 if credentials else 1


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # names may be in any script
    sys.exit(main(sys.argv[1:], stdin=sys.stdin.buffer, stdout=sys.stdout))
