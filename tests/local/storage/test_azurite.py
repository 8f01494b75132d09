import asyncio
import shutil
from pathlib import Path

import pytest

from local.network.certificates import Certificates
from local.storage import azurite
from local.storage.azurite import Azurite, AzuriteError
from local.tenant.model import Account
from tests.support.patience import PATIENCE


async def test_missing_node_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(AzuriteError, match="make setup"):
        await Azurite(folder=tmp_path, certificates=Certificates.make(tmp_path)).start()


async def test_failed_start_names_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azurite, "_PRELOAD", tmp_path / "missing.js")
    with pytest.raises(AzuriteError, match=r"azurite\.log"):
        await Azurite(folder=tmp_path, certificates=Certificates.make(tmp_path)).start()


async def test_stopped_azurite_accepts_no_keys(tmp_path: Path) -> None:
    started = Azurite(folder=tmp_path, certificates=Certificates.make(tmp_path))
    await started.start()
    await started.stop()
    with pytest.raises(AzuriteError):
        await started.use_keys([Account("models", "tests")])


async def test_keys_are_in_no_command_line_environment_or_log(tmp_path: Path) -> None:
    started = Azurite(folder=tmp_path, certificates=Certificates.make(tmp_path))
    await started.start()
    account = Account("models", "tests")
    try:
        await started.use_keys([account])
        process = Path("/proc") / str(started.pid)
        shown = [(process / name).read_bytes() for name in ("cmdline", "environ")]
        shown.append((tmp_path / "azurite.log").read_bytes())
    finally:
        await started.stop()
    assert not any(key.encode() in text for key in account.keys.values() for text in shown)


async def test_keys_published_at_once_are_all_acknowledged(tmp_path: Path) -> None:
    started = Azurite(folder=tmp_path, certificates=Certificates.make(tmp_path))
    await started.start()
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(started.use_keys([Account(f"models{n}", "tests")]) for n in range(20)))
    finally:
        await started.stop()
    assert not started.is_running
