import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from local.child_processes import Child, ChildError, plain_environment
from tests.support.paths import ROOT
from tests.support.patience import PATIENCE

READY = "print('ready http://127.0.0.1:1234', flush=True)"


def child(script: str, tmp_path: Path) -> Child:
    command = (sys.executable, "-c", script)
    return Child("host 1", command=command, environment=plain_environment(), log=tmp_path / "host-1.log")


async def test_child_that_is_ready_has_an_address(tmp_path: Path) -> None:
    started = child(f"{READY}; import time; time.sleep(60)", tmp_path)
    await started.start(cwd=tmp_path, seconds=20)
    assert (started.address, started.is_running) == ("http://127.0.0.1:1234", True)
    await started.stop(seconds=10)
    assert not started.is_running


async def test_child_that_ends_early_is_reported_with_its_last_log_lines(tmp_path: Path) -> None:
    with pytest.raises(ChildError, match=r"(?s)host 1 ended with exit code 3.*SASQUASH_MODE is missing"):
        await child("import sys; print('SASQUASH_MODE is missing', file=sys.stderr); sys.exit(3)", tmp_path).start(
            cwd=tmp_path, seconds=20
        )


async def test_silent_child_is_ended_after_the_timeout(tmp_path: Path) -> None:
    started = child("import time; time.sleep(60)", tmp_path)
    with pytest.raises(ChildError, match="not ready"):
        await started.start(cwd=tmp_path, seconds=0.2)
    await started.stop(seconds=10)


async def test_child_that_ignores_sigterm_gets_sigkill(tmp_path: Path) -> None:
    script = f"import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}; time.sleep(60)"
    started = child(script, tmp_path)
    await started.start(cwd=tmp_path, seconds=20)
    await started.stop(seconds=0.2)
    assert not started.is_running


async def test_child_that_is_not_ready_is_ended_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "deaf")
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('deaf', 'w'); time.sleep(600)"
    started = child(script, tmp_path)
    starting = asyncio.create_task(started.start(cwd=tmp_path, seconds=60))
    await asyncio.to_thread((tmp_path / "deaf").read_text)
    starting.cancel()
    await asyncio.wait([starting])
    async with asyncio.timeout(PATIENCE):
        await started.stop(seconds=600)
    assert not started.is_running


async def test_output_goes_to_the_log(tmp_path: Path) -> None:
    started = child(f"import sys; print('said', file=sys.stderr, flush=True); print('more'); {READY}", tmp_path)
    await started.start(cwd=tmp_path, seconds=20)
    await started.stop(seconds=10)
    assert (tmp_path / "host-1.log").read_text().split() == ["said", "more"]


def test_child_sees_no_azure_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "x")
    monkeypatch.setenv("HTTPS_PROXY", "http://elsewhere")
    assert not {"AZURE_CLIENT_SECRET", "HTTPS_PROXY"} & set(plain_environment())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="prctl is Linux's")
def test_child_ends_with_its_parent() -> None:
    # The grandchild holds the pipe, which closes when it ends, too.
    parent = textwrap.dedent("""
        import subprocess, sys, time
        from local.child_processes import end_with_parent
        script = "import time; print('up', flush=True); time.sleep(600)"
        subprocess.Popen([sys.executable, "-c", script], preexec_fn=end_with_parent(), start_new_session=True)
        time.sleep(600)
    """)
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, cwd=ROOT, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    os.kill(process.pid, signal.SIGKILL)
    assert process.communicate(timeout=PATIENCE)[0] == ""
