"""Whether Azure enforces the policy: a token that violates it, one that complies, and a Shared Key request.

Codes: "Common REST API error codes"; the detail of a refusal by the policy: AzureStorageExplorer#8845. The table
service says only the code ("Status and error codes" of each service).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.core.rest import HttpRequest

from shared.actions.sas_expiration_check import ExpirationCheck
from shared.domain.execution import Outcome, Verification
from shared.sas import Service
from tests.support import samples
from tests.support.data_plane import DataPlane
from tests.support.samples import KEYS, NOW

PATIENCE = timedelta(minutes=10)
ACCEPTED, REFUSED = (404, "ResourceNotFound"), (403, "AuthenticationFailed")
KEPT_OUT = (403, "AuthorizationFailure")


@dataclass
class Plane(DataPlane):
    """Answers each kind of request as a test says; those that violate the policy in turn."""

    violating: Sequence[tuple[int, str]] = (REFUSED,)
    complying: tuple[int, str] = ACCEPTED
    shared_key: tuple[int, str] = ACCEPTED
    asked: list[str] = field(default_factory=list)

    def answer(self, request: HttpRequest) -> tuple[int, str]:
        query = parse_qs(urlsplit(request.url).query)
        kind = "shared_key" if "sig" not in query else "complying" if "st" in query else "violating"
        self.asked.append(kind)
        if kind == "violating":
            return self.violating[(self.asked.count(kind) - 1) % len(self.violating)]
        return self.complying if kind == "complying" else self.shared_key


async def checked(plane: Plane, *, since: datetime = NOW, service: Service = Service.BLOB) -> Verification:
    check = ExpirationCheck(plane.connect, patience=PATIENCE, clock=lambda: NOW, new_id=lambda: "0" * 32)
    return await check.verify(
        samples.account(), [service], key=KEYS["key1"], since=since, accepted_before=[service], shown="By ARM."
    )


async def test_refused_token_beside_one_that_complies_shows_the_policy_in_effect() -> None:
    plane = Plane()
    found = await checked(plane)
    assert found.outcome is Outcome.IN_EFFECT
    assert sorted(plane.asked) == ["complying", "shared_key", "violating", "violating", "violating"]
    assert plane.opened == plane.closed == 5


async def test_shared_key_request_that_is_refused_is_said_and_decides_nothing() -> None:
    found = await checked(Plane(shared_key=(403, "KeyBasedAuthenticationNotPermitted")))
    assert found.outcome is Outcome.IN_EFFECT
    assert "a Shared Key request is not accepted (403 KeyBasedAuthenticationNotPermitted" in found.evidence[1]


@pytest.mark.parametrize(
    "plane",
    [
        Plane(violating=(ACCEPTED,)),
        Plane(violating=(REFUSED, REFUSED, ACCEPTED)),
        Plane(violating=(REFUSED,), complying=REFUSED),
        Plane(violating=(KEPT_OUT,), complying=KEPT_OUT),
    ],
)
@pytest.mark.parametrize(("waited", "outcome"), [(timedelta(0), Outcome.PENDING), (PATIENCE, Outcome.NOT_ENFORCED)])
async def test_what_does_not_show_the_policy_at_every_try_shows_nothing(
    plane: Plane, waited: timedelta, outcome: Outcome
) -> None:
    assert (await checked(plane, since=NOW - waited)).outcome is outcome


@pytest.mark.parametrize("service", [Service.BLOB, Service.QUEUE, Service.TABLE, Service.FILE])
async def test_every_service_is_shown_by_its_code_alone(service: Service) -> None:
    assert (await checked(Plane(in_body=True), service=service)).outcome is Outcome.IN_EFFECT


async def test_services_that_accept_the_token_before_are_named() -> None:
    plane = Plane(violating=(ACCEPTED,))
    check = ExpirationCheck(plane.connect, patience=PATIENCE, clock=lambda: NOW, new_id=lambda: "0" * 32)
    tokens = check.mint(samples.account(), [Service.BLOB, Service.TABLE], key=KEYS["key1"])
    assert await check.before(tokens) == (Service.BLOB, Service.TABLE)
