"""`python -m conformance`: lists assumptions about Azure. With a subscription, tests them and prints the results.

Needs azd and az, signed in. Everything is created in new resource groups, which are deleted at the end.
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
from conformance.revoked import StillAccepted
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
    """Return 0 if all assumptions hold, or nothing was tested; 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m conformance", description=__doc__)
    parser.add_argument("--subscription", default="", help="id of a test subscription; without it, only list")
    parser.add_argument("--location", default="westeurope", help="region of all resources")
    parser.add_argument(
        "--without-deployment", action="store_true", help="test only what needs just storage accounts"
    )
    chosen = parser.parse_args(arguments)
    if not chosen.subscription:
        print_plan()
        return 0
    return asyncio.run(test_all(chosen.subscription, location=chosen.location, deploys=not chosen.without_deployment))


def print_plan() -> None:
    """Print what would be tested, and how."""
    print("Nothing is tested without a subscription: make conformance SUBSCRIPTION=<id>\n")
    print("As the account that az and azd are signed in with (an owner of the subscription), this would")
    print("  1. create a resource group with temporary storage accounts and test:")
    _list([fact for fact in FACTS if fact.of_azure is not None])
    print("  2. deploy Sasquash into a new environment (azd up; mode auto, no mail, no site) and test:")
    _list([fact for fact in FACTS if fact.of_deployment is not None])
    print("  3. print the results, and delete all of it.\n")
    print("Not tested:")
    for line in BY_HAND:
        print(f"  - {line}")


def _list(facts: Sequence[Fact]) -> None:
    for fact in facts:
        print(f"     - {fact.name}: {fact.assumption} ({fact.basis}).\n       {fact.how}")


async def test_all(subscription: str, *, location: str, deploys: bool) -> int:
    """Test each assumption, print each result at once, and delete all created resources."""
    name = f"conformance-{secrets.token_hex(3)}"
    async with AzureCliCredential() as credential:
        place = Place(credential, subscription=subscription, group=f"rg-{name}", location=location, transport=network)
        group = f"/subscriptions/{subscription}/resourceGroups/{place.group}"
        url = f"{RESOURCE_MANAGER}{group}?api-version=2021-04-01"
        try:
            await place.call("PUT", url, body={"location": location})
            await place.grant(_BLOB_DATA_READER, scope=group)
            hold = await of_azure(place)
            return 0 if (not deploys or await of_deployment(place, name)) and hold else 1
        finally:
            await place.call("DELETE", url)
            await place.close()


async def of_azure(place: Place) -> bool:
    """Test what needs just storage accounts; return whether all assumptions hold."""
    results = [await _test(fact, fact.of_azure(place)) for fact in FACTS if fact.of_azure is not None]
    return all(results)


async def of_deployment(place: Place, name: str) -> bool:
    """Deploy, test what needs a deployment, and delete it; return whether all assumptions hold."""
    try:
        outputs = await azd.up(name, subscription=place.subscription, location=place.location, settings=_SETTINGS)
        deployment = Deployment(name, outputs)
        await place.grant(_EVENT_GRID_DATA_SENDER, scope=deployment.group(place))
        results = [
            await _test(fact, fact.of_deployment(place, deployment))
            for fact in FACTS
            if fact.of_deployment is not None
        ]
        return all(results)
    finally:
        await azd.down(name)


async def _test(fact: Fact, trial: Awaitable[str]) -> bool:
    """Run a test and print its result; return whether the assumption holds. Failures do not stop the run."""
    start = time.monotonic()
    try:
        result, holds = await trial, True
    except (ValueError, StillAccepted, AzureError) as error:
        result, holds = redact(str(error)), False
    took = time.monotonic() - start
    print(f"{'confirmed' if holds else 'REFUTED':<12} {fact.name:<24} {result} [{took:.0f} s]", flush=True)
    return holds


if __name__ == "__main__":
    sys.exit(main())
