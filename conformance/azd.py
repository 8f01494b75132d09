"""Deploys a new environment with azd, and deletes it."""

import asyncio
import json
import os
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
    return await outputs(environment)


async def provision(environment: str, settings: Mapping[str, str]) -> None:
    """Change settings of the environment, and deploy infra/ again. Raises CommandFailed."""
    for name, value in settings.items():
        await run("azd", "env", "set", name, value, "--environment", environment)
    await run("azd", "provision", "--no-prompt", "--environment", environment)


async def outputs(environment: str) -> dict[str, str]:
    """Return the outputs of the environment. Raises CommandFailed."""
    values: dict[str, str] = json.loads(
        await text("azd", "env", "get-values", "--output", "json", "--environment", environment)
    )
    return values


async def down(environment: str) -> None:
    """Delete what `up` created. Raises CommandFailed."""
    await run("azd", "down", "--force", "--purge", "--environment", environment)


async def run(*command: str, variables: Mapping[str, str] | None = None) -> None:
    """Run a command, with its output on the terminal and `variables` in its environment. Raises CommandFailed."""
    process = await asyncio.create_subprocess_exec(*command, cwd=_ROOT, env=os.environ | dict(variables or {}))
    if await process.wait():
        raise _failed(command)


async def text(*command: str) -> str:
    """Return the output of a command, without white space at its ends. Raises CommandFailed."""
    process = await asyncio.create_subprocess_exec(*command, cwd=_ROOT, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    if process.returncode:
        raise _failed(command)
    return printed.decode().strip()


def _failed(command: tuple[str, ...]) -> CommandFailed:
    return CommandFailed(f"{' '.join(command[:4])} failed: its own message is above.")
