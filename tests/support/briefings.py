"""A sample briefing, which tests vary."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.domain.revocation import Owner
from shared.domain.target import ActionKind
from shared.domain.text import Code, RichText
from shared.followup.briefing.model import Briefing, TimelineEntry

RECEIVED = datetime(2026, 11, 21, 2, 58, 3, tzinfo=UTC)
SECURITY = "security@contoso.com"
STATES = (
    "received",
    "observed",
    "awaiting_approval",
    "contained",
    "proven",
    "closed",
    "dismissed",
    "unresolved",
    "failed",
)

_BRIEFING = Briefing(
    fingerprint="ab" * 32,
    c3id="Zm9vYmFyYmF6cXV4MTIz",
    state="proven",
    reason=None,
    kind="account SAS",
    severity="critical",
    grants="Anyone could read, write and delete everything in the account until 2051.",
    notes=("It allowed plain http.",),
    risk_reasons=("It opens the whole account.",),
    account="robustmodels",
    account_id=(
        "/subscriptions/3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33/resourceGroups/research"
        "/providers/Microsoft.Storage/storageAccounts/robustmodels"
    ),
    host="robustmodels.blob.core.windows.net",
    key_name="key2",
    policy=None,
    action=ActionKind.ACCOUNT_KEY,
    target="key2",
    ordered=False,
    expires=datetime(2051, 10, 6, tzinfo=UTC),
    source="github",
    reported_by=None,
    reported_because="",
    found_at_url="https://github.com/contoso/robust-models/blob/4c1be9d/README.md#L14",
    detected_at=RECEIVED - timedelta(seconds=20),
    received_at=RECEIVED,
    done="key2 was regenerated 2.1 s after the event arrived.",
    proven="A token of our own was accepted before and refused 6 times after.",
    used=(),
    impact=("Every SAS and connection string made with key2.",),
    open_points=("Usage is unknown: the account has no logs.",),
    next_steps=(RichText.of("Remove it from the README: ", Code("git rm README.md")),),
    deadline=None,
    timeline=(
        TimelineEntry(RECEIVED + timedelta(seconds=2.1), "key2 regenerated"),
        TimelineEntry(RECEIVED, "event arrived"),
    ),
    owners=(Owner("model-owner@contoso.com", "Model Owner", "tag sasquash-owner on the account"),),
)


def briefing(**changes: Any) -> Briefing:
    """Return the sample with some fields changed."""
    return replace(_BRIEFING, **changes)
