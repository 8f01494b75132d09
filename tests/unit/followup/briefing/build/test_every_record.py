"""Every state and reason."""

import pytest

from shared.domain.decision.attribution import attribute
from shared.domain.revocation import Revocation
from shared.domain.states import STATE_OF, State
from shared.followup.briefing.build import brief
from shared.followup.mail.compose import compose
from tests.support import samples
from tests.support.built_briefings import UNREADABLE, contained
from tests.support.samples import ACCOUNT, KEYS, NOW


def records() -> list[Revocation]:
    """A record in each state, with each reason that it can have."""
    plain = [samples.revocation(state=state, plan=samples.plan(), account=samples.account()) for state in State]
    ended = [
        samples.revocation(state=state, reason=reason, detail="Why.", finding=found)
        for reason, state in STATE_OF.items()
        for found in (samples.finding(), samples.finding(samples.connection_string()), UNREADABLE)
    ]
    return plain + ended


@pytest.mark.parametrize("record", records(), ids=lambda record: f"{record.state}-{record.reason}")
def test_every_record_can_be_mailed(record: Revocation) -> None:
    message = compose(brief(record, now=NOW), to=(), security_mailbox="security@contoso.com")

    assert message.to == ("security@contoso.com",)


@pytest.mark.parametrize("text", [samples.account_sas(), samples.connection_string(), samples.blob_sas()])
def test_a_briefing_holds_nothing_usable(text: str) -> None:
    found = samples.finding(text)
    assert found.credential is not None
    verdict = attribute(found.credential, account=ACCOUNT, keys=KEYS)
    briefing = contained(
        finding=found, detail=verdict.detail, execution=samples.execution(samples.verification_token())
    )

    token_signature = samples.verification_token().query.partition("sig=")[2]
    leaked = text.partition("sig=")[2].split("&")[0]
    secrets = [token_signature, leaked, *(key.rstrip("=") for key in KEYS.values())]
    assert not any(secret in repr(briefing) for secret in secrets if secret)
