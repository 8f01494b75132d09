"""Deploys a new environment with azd, and deletes it."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


class CommandFailed(Exception):
    """A command failed. It has printed the error itself."""


async def up(environment: str, *, subscription: str, location: str, settings: Mapping[str, str]) -> dict[str, str]:
    """Create the environment, deploy into it, and return its outputs. Raises CommandFailed."""
    await run("azd", "env", "new", environment, "--subscription", subscription, "--location", location)
    for name, value in settings.items():
        await run("azd", "env", "set", name, value, "--environment", environment)
    await run("azd", "up", "--no-prompt", "--environment", environment)
    text = await output("azd", "env", "get-values", "--output", "json", "--environment", environment)
    values: dict[str, str] = json.loads(text)
    return values


async def down(environment: str) -> None:
    """Delete what `up` created. Raises CommandFailed."""
    await run("azd", "down", "--force", "--purge", "--environment", environment)


async def run(*command: str) -> None:
    """Run a command, with its output on the terminal. Raises CommandFailed."""
    process = await asyncio.create_subprocess_exec(*command, cwd=_ROOT)
    if await process.wait():
        raise CommandFailed(f"{' '.join(command)} failed.")


async def output(*command: str) -> str:
    """Return the output of a command. Raises CommandFailed."""
    process = await asyncio.create_subprocess_exec(*command, cwd=_ROOT, stdout=asyncio.subprocess.PIPE)
    text, _ = await process.communicate()
    if process.returncode:
        raise CommandFailed(f"{' '.join(command)} failed.")
    return text.decode()
