"""What an alert has to be about to be closed, for tests."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from shared.domain.alert_match import Revoked
from tests.support import samples
from tests.support.samples import NOW


def revoked_leak(leak: str | None = None, **changed: Any) -> Revoked:
    """Return what a record revoked whose leak, by default an account SAS, ended with key2."""
    made = Revoked(
        credential=samples.leak(leak or samples.account_sas()),
        is_bound=True,
        account=samples.ACCOUNT,
        key="key2",
        until=NOW + timedelta(minutes=1),
        needs_token=False,
    )
    return replace(made, **changed)
