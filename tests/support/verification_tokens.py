"""Subjects and results of verification."""

from datetime import datetime, timedelta

from shared.actions.verification import (
    Verifier,
)
from shared.domain.account import AccountFacts
from shared.domain.execution import Verification, VerificationToken
from tests.support import samples
from tests.support.data_plane import NEW_KEY, DataPlane
from tests.support.samples import NOW


def verifier(plane: DataPlane, *, now: datetime = NOW) -> Verifier:
    return Verifier(plane.connect, clock=lambda: now, new_id=lambda: "11111111-2222-4333-8444-555555555555")


async def verified(
    plane: DataPlane,
    *tokens: VerificationToken,
    account: AccountFacts | None = None,
    changed: bool = True,
    after: timedelta = timedelta(seconds=1),
) -> Verification:
    execution = samples.execution(*(tokens or (samples.verification_token(),)))
    asked = verifier(plane, now=NOW + after)
    return await asked.verify(execution, account or samples.account(), changed=changed, new_key=NEW_KEY)
