"""Runs schemathesis as its users do: in a process of its own, against a running API."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

from tests.support.openapi import FILE
from tests.support.patience import PATIENCE

_CONFIGURATION = Path(__file__).with_suffix(".toml")


async def disagreements(url: str, *, token: str, examples: int) -> str:
    """Return what schemathesis reports on the API at `url`, or "" if all was answered as described.

    `token` is the caller's, with every role. For each operation up to `examples` requests are made up, the same ones
    in every run, beside those that go to the edges of each field.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(_CONFIGURATION)),
        *("run", str(FILE), "--url", url, "--max-examples", str(examples)),
        env={"PATH": os.environ["PATH"], "SASQUASH_TOKEN": token},
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        async with asyncio.timeout(5 * PATIENCE):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output.decode() if process.returncode else ""
