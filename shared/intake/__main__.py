"""`python -m shared.intake SOURCE < report`: publishes the findings of a scanner from the machine where it ran.

The secrets stay on this machine: only findings without them are sent to the Event Grid topic in
SASQUASH_TOPIC_ENDPOINT, as the signed-in identity (`az login`, a workload or managed identity), which needs the role
"EventGrid Data Sender". Prints one JSON line for each item, as in the response of POST /api/intake/{source}. The exit
code is 0 when all items were published, 1 when an item was invalid, 2 on failure: then run it again with the same
report. `python -m shared.intake rules SCANNER` prints the rules with which a scanner finds what Sasquash revokes.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from azure.eventgrid.aio import EventGridPublisherClient
from azure.identity.aio import DefaultAzureCredential

from shared import redaction
from shared.api.intake.registry import TEXT_READERS
from shared.cloud.event_grid import Publisher
from shared.domain.azure_clouds import CLOUDS
from shared.domain.finding import Finding
from shared.errors import SasquashError
from shared.intake import rules
from shared.intake.files import Files, NoSuchFolder
from shared.settings import read_one
from shared.sources import generic
from shared.sources.entries import InvalidPayload
from shared.sources.parsing import Result, items_of, joined
from shared.sources.surroundings import with_surroundings

_GENERIC = "generic"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] == rules.COMMAND:
        return rules.main(arguments[1:])
    description, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(prog="python -m shared.intake", description=description, epilog=more)
    parser.add_argument("source", choices=(*sorted(TEXT_READERS), _GENERIC), help="the tool that wrote the report")
    parser.add_argument(
        "--root",
        metavar="DIR",
        help="the folder that was scanned: it has what the report leaves out or masks, and the accounts of bare keys",
    )
    chosen = parser.parse_args(arguments)
    source = chosen.source
    redaction.install()
    try:
        endpoint = read_one(os.environ, "topic_endpoint")
        authority = CLOUDS[read_one(os.environ, "cloud_name")].authority
        read = TEXT_READERS.get(source, generic.read)
        entries = read(sys.stdin.buffer.read())
        if chosen.root is not None:
            entries = with_surroundings(entries, Files(chosen.root).around)
        items, findings = joined(items_of(entries, source=source, now=datetime.now(UTC)))
        asyncio.run(_publish(findings, source=source, endpoint=endpoint, authority=authority))
    except (SasquashError, InvalidPayload, NoSuchFolder) as error:
        print(f"Not all findings were published. Run it again: {error}", file=sys.stderr)
        return 2
    for number, item in enumerate(items):
        print(msgspec.json.encode(item.response(number)).decode())
    counted = ", ".join(f"{sum(item.result is result for item in items)} {result}" for result in Result)
    print(counted, file=sys.stderr)
    return 1 if any(item.result is Result.INVALID for item in items) else 0


async def _publish(findings: tuple[Finding, ...], *, source: str, endpoint: str, authority: str) -> None:
    if not findings:
        return
    async with (
        DefaultAzureCredential(authority=authority) as credential,
        EventGridPublisherClient(endpoint, credential) as client,
    ):
        await Publisher(lambda: client).publish(findings, source=source)


if __name__ == "__main__":
    raise SystemExit(main())
