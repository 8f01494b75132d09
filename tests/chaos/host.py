"""A function host as `local.host` is one, whose app has a tenth of the patience: `python -m tests.chaos.host …`.

A host that is killed with an account's lock is succeeded after three minutes, and the lease of a step expires
after two. Tests that kill hosts would wait for that most of the time. The local cloud's time factor shortens what
queues delay; this shortens what the app itself waits for, in its own process and before anything of it runs.
"""

import sys
from datetime import timedelta

FACTOR = 10
QUEUE_FACTOR = 30  # of the local cloud: a host that was killed keeps its messages for ten minutes divided by this


def shorten() -> None:
    """Divide every patience by FACTOR. Who imports a constant later gets the short one."""
    from shared.persistence import accounts, step_leases

    _divide(accounts, "WORK_TIME", "EXECUTION_TIME", "TAKEOVER_TIME", "COOLDOWN")
    from shared.actions import account_key, verification
    from shared.domain import pending_steps
    from shared.followup import service
    from shared.followup import verification as verification_step

    _divide(account_key, "_REGENERATE_TIMEOUT")
    _divide(step_leases, "LEASE_TIME")
    _divide(service, "LEASE_TIME")
    _divide(pending_steps, "_MAIL_PATIENCE")
    _divide(verification_step, "_ARM_LAG")
    _divide(verification, "_PATIENCE")


def _divide(module: object, *names: str) -> None:
    for name in names:
        value = getattr(module, name)
        assert isinstance(value, timedelta | float)
        setattr(module, name, value / FACTOR)


if __name__ == "__main__":
    shorten()
    from local.host.__main__ import main

    sys.exit(main())
