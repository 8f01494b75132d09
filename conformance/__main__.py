"""`python -m conformance`: lists beliefs about Azure. With a subscription, tests them and prints a table of results.

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

from conformance import azd, signed_in
from conformance.deployed import Deployment
from conformance.facts import FACTS, Fact
from conformance.place import RESOURCE_MANAGER, Place
from conformance.report import Outcome, Result, table
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
    """Return 0 if no belief was refuted; 1 otherwise."""
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
    print("As the account that az and azd are signed in with (an owner of the subscription, who may register")
    print("applications), this would")
    print("  1. create a resource group with temporary storage accounts and test:")
    _list([fact for fact in FACTS if fact.of_azure is not None])
    print("  2. deploy Sasquash with a separate intake into a new environment (azd up; mode auto, no mail, no site),")
    print("     create its registration, sign in by the documented command and test:")
    _list([fact for fact in FACTS if fact.of_deployment is not None])
    print("  3. print a table of the results, and delete all of it.\n")
    print("Not tested, because a person has to check:")
    _list([fact for fact in FACTS if fact.by_hand])


def _list(facts: Sequence[Fact]) -> None:
    for fact in facts:
        print(f"     - {fact.name}: {fact.assumption} ({fact.basis}).\n       {fact.how}")


async def test_all(subscription: str, *, location: str, deploys: bool) -> int:
    """Test each belief, print the table, and delete all created resources; return the exit code."""
    name = f"conformance-{secrets.token_hex(3)}"
    results: list[Result] = []
    async with AzureCliCredential() as credential:
        place = Place(credential, subscription=subscription, group=f"rg-{name}", location=location, transport=network)
        group = f"/subscriptions/{subscription}/resourceGroups/{place.group}"
        url = f"{RESOURCE_MANAGER}{group}?api-version=2021-04-01"
        try:
            await place.call("PUT", url, body={"location": location})
            await place.grant(_BLOB_DATA_READER, scope=group)
            await of_azure(place, results)
            if deploys:
                await of_deployment(place, name, results)
        finally:
            tried = {result.fact.name for result in results}
            left = (Result(fact, Outcome.NOT_TRIED, fact.how) for fact in FACTS if fact.name not in tried)
            print(f"\n{table([*results, *left])}\n", flush=True)
            await place.call("DELETE", url)
            await place.close()
    return 1 if any(result.outcome is Outcome.REFUTED for result in results) else 0


async def of_azure(place: Place, results: list[Result]) -> None:
    """Test what needs just storage accounts."""
    for fact in FACTS:
        if fact.of_azure is not None:
            await _test(fact, fact.of_azure(place), results)


async def of_deployment(place: Place, name: str, results: list[Result]) -> None:
    """Deploy, create the registration, test what needs both, and delete both."""
    try:
        outputs = await azd.up(name, subscription=place.subscription, location=place.location, settings=_SETTINGS)
        await signed_in.register(Deployment(name, outputs))
        deployment = Deployment(name, await azd.outputs(name))
        await place.grant(_EVENT_GRID_DATA_SENDER, scope=deployment.group(place))
        for fact in FACTS:
            if fact.of_deployment is not None:
                await _test(fact, fact.of_deployment(place, deployment), results)
    finally:
        try:
            await azd.down(name)
        finally:
            await signed_in.unregister(name)


async def _test(fact: Fact, trial: Awaitable[str], results: list[Result]) -> None:
    """Run a test, print its result at once, and add it to `results`. Failures do not stop the run."""
    start = time.monotonic()
    try:
        result = Result(fact, Outcome.CONFIRMED, await trial)
    except (ValueError, StillAccepted, AzureError, azd.CommandFailed) as error:
        result = Result(fact, Outcome.REFUTED, redact(str(error)))
    took = time.monotonic() - start
    print(f"{result.outcome:<12} {fact.name:<32} {result.observed} [{took:.0f} s]", flush=True)
    results.append(result)


if __name__ == "__main__":
    sys.exit(main())
