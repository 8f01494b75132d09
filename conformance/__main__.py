"""`python -m conformance`: says what it would do. With a subscription, does it, prints a table, and cleans up.

Needs azd and az, signed in. Everything is made in resource groups of its own, which are deleted in the end.
"""

import argparse
import asyncio
import secrets
import sys
import time
from collections.abc import Awaitable, Sequence

from azure.core.exceptions import AzureError
from azure.identity.aio import AzureCliCredential

from conformance import azd
from conformance.deployed import Deployment
from conformance.facts import BY_HAND, FACTS, Fact
from conformance.place import RESOURCE_MANAGER, Place
from conformance.revoked import StillAlive
from shared.cloud.clients import network
from shared.redaction import redact

_BLOB_DATA_READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"  # "Azure built-in roles"
_EVENT_GRID_DATA_SENDER = "d5a91429-5739-47e2-a06b-3470a27159e7"
_SETTINGS = {
    "SASQUASH_MODE": "auto",
    "SASQUASH_SECURITY_MAILBOX": "nobody@example.com",
    "SASQUASH_MAIL_SENDER": "nobody@example.com",
    "SASQUASH_MAIL_DOMAINS": "example.com",
    "SASQUASH_INCIDENT_SITE": "example.sharepoint.com,none,none",
    "SASQUASH_INCIDENT_LIST": "none",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 if all that was tried is as believed, or nothing was tried; else 1."""
    parser = argparse.ArgumentParser(prog="python -m conformance", description=__doc__)
    parser.add_argument("--subscription", default="", help="id of a throw-away subscription; without it, only says")
    parser.add_argument("--location", default="westeurope", help="region of everything")
    parser.add_argument("--without-deployment", action="store_true", help="try only what needs no more than storage")
    chosen = parser.parse_args(arguments)
    if not chosen.subscription:
        say()
        return 0
    return asyncio.run(try_all(chosen.subscription, location=chosen.location, deploys=not chosen.without_deployment))


def say() -> None:
    """Print what would be done."""
    print("Nothing is done without a subscription: make conformance SUBSCRIPTION=<id>\n")
    print("In it, as whoever az and azd are signed in as (its owner), this would")
    print("  1. make a resource group with throw-away storage accounts and try:")
    _list([fact for fact in FACTS if fact.of_azure is not None])
    print("  2. deploy Sasquash into an environment of its own (azd up; mode auto, no mail, no site) and try:")
    _list([fact for fact in FACTS if fact.of_deployment is not None])
    print("  3. print what was seen, and delete all of it.\n")
    print("Not tried:")
    for line in BY_HAND:
        print(f"  - {line}")


def _list(facts: Sequence[Fact]) -> None:
    for fact in facts:
        print(f"     - {fact.name}: {fact.belief} ({fact.basis}).\n       {fact.how}")


async def try_all(subscription: str, *, location: str, deploys: bool) -> int:
    """Try each fact, print its line as soon as it is known, and delete what was made."""
    name = f"conformance-{secrets.token_hex(3)}"
    async with AzureCliCredential() as credential:
        place = Place(credential, subscription=subscription, group=f"rg-{name}", location=location, transport=network)
        group = f"/subscriptions/{subscription}/resourceGroups/{place.group}"
        url = f"{RESOURCE_MANAGER}{group}?api-version=2021-04-01"
        try:
            await place.call("PUT", url, body={"location": location})
            await place.grant(_BLOB_DATA_READER, scope=group)
            as_believed = await of_azure(place)
            return 0 if (not deploys or await of_deployment(place, name)) and as_believed else 1
        finally:
            await place.call("DELETE", url)
            await place.close()


async def of_azure(place: Place) -> bool:
    """Try what needs no more than storage accounts; return whether all is as believed."""
    tried = [await _tried(fact, fact.of_azure(place)) for fact in FACTS if fact.of_azure is not None]
    return all(tried)


async def of_deployment(place: Place, name: str) -> bool:
    """Deploy, try what a deployment shows, and take it down; return whether all is as believed."""
    try:
        outputs = await azd.up(name, subscription=place.subscription, location=place.location, settings=_SETTINGS)
        deployment = Deployment(name, outputs)
        await place.grant(_EVENT_GRID_DATA_SENDER, scope=deployment.group(place))
        tried = [
            await _tried(fact, fact.of_deployment(place, deployment))
            for fact in FACTS
            if fact.of_deployment is not None
        ]
        return all(tried)
    finally:
        await azd.down(name)


async def _tried(fact: Fact, trial: Awaitable[str]) -> bool:
    """Print what came of trying a fact; return whether it is as believed. The next is tried whatever comes of it."""
    start = time.monotonic()
    try:
        seen, is_so = await trial, True
    except (ValueError, StillAlive, AzureError) as error:
        seen, is_so = redact(str(error)), False
    took = time.monotonic() - start
    print(f"{'as believed' if is_so else 'OTHERWISE':<12} {fact.name:<24} {seen} [{took:.0f} s]", flush=True)
    return is_so


if __name__ == "__main__":
    sys.exit(main())
