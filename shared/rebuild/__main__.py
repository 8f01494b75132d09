"""`python -m shared.rebuild`: rebuild the ledger from the copy in the workspace (docs/operations.md).

It has the settings of the app in its environment. Records that are there stay as they are, so it can be run again.
"""

import asyncio
import os
import sys

from shared.app import App
from shared.errors import SasquashError
from shared.operations.rebuild import Rebuilt
from shared.settings import Settings

_NO_COPY = "No copy is set up: SASQUASH_HISTORY_ENDPOINT, SASQUASH_HISTORY_RULE and SASQUASH_HISTORY_WORKSPACE."


def said(result: Rebuilt) -> str:
    """Return what was done, for people."""
    lines = [
        f"{result.written} records were rebuilt.",
        f"{result.known} records were there, and stayed as they are.",
        f"{result.past_retention} records are past SASQUASH_RETENTION_DAYS, and were left out.",
        f"{len(result.unreadable)} records could not be rebuilt: the copy does not have them whole.",
        *(f"  {fingerprint}" for fingerprint in result.unreadable),
    ]
    return "\n".join(lines)


async def rebuild(app: App) -> Rebuilt | None:
    """Rebuild the ledger of `app`; return None where there is no copy. Raises TransientFailure or Blocked."""
    work = app.background.rebuild
    return await work.run() if work is not None else None


def main() -> int:
    """Run the command; return its exit code: 1 where something is missing."""
    try:
        result = asyncio.run(rebuild(App(Settings.read(os.environ))))
    except SasquashError as error:
        print(f"{error} Run it again: it goes on where it was.", file=sys.stderr)
        return 1
    if result is None:
        print(_NO_COPY, file=sys.stderr)
        return 1
    print(said(result))
    return 1 if result.unreadable else 0


if __name__ == "__main__":
    sys.exit(main())
