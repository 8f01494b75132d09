"""The command: processes, files and exit codes."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.cloud.command import main
from tests.support.paths import ROOT
from tests.support.patience import PATIENCE


def command(name: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local.cloud", name, "--folder", str(folder), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def up(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return command("up", folder, "--no-app", *(options or ("--port", "0")))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "cloud"
    command("stop", tmp_path / "cloud")


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    """Return whether a process is running. A zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_cloud_stays_up_until_it_is_stopped(folder: Path) -> None:
    started = up(folder)
    ports = json.loads((folder / "ports.json").read_text())
    pid = int((folder / "pid").read_text())
    processes = [pid, *children_of(pid)]
    assert (started.returncode, len(processes)) == (0, 2)
    assert f"http://127.0.0.1:{ports['control']}" in started.stdout
    socket.create_connection(("127.0.0.1", ports["control"]), timeout=PATIENCE).close()

    assert command("stop", folder).returncode == 0
    assert not any(is_alive(process) for process in processes)
    assert not (folder / "env").exists()


def test_second_up_reports_the_running_cloud(folder: Path) -> None:
    up(folder)
    pid = (folder / "pid").read_text()
    again = up(folder)
    assert (again.returncode, (folder / "pid").read_text()) == (0, pid)
    assert "already running" in again.stdout
    assert "ignored" not in again.stdout


def test_second_up_names_the_ignored_options(folder: Path) -> None:
    up(folder)
    port = json.loads((folder / "ports.json").read_text())["control"]
    again = command("up", folder, "--port", "1", "--hosts", "2")
    assert again.returncode == 0
    assert f"it runs with HOSTS=0 PORT={port} TIME_FACTOR=1" in again.stdout


def test_private_cloud_says_that_it_is_one(folder: Path) -> None:
    assert up(folder, "--port", "0", "--private").returncode == 0
    again = up(folder)
    assert again.returncode == 0
    assert " TIME_FACTOR=1 PRIVATE=1" in again.stdout


def test_used_port_is_named_and_nothing_remains(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        folder.mkdir()
        for left in ("env", "pid", "ports.json"):
            (folder / left).write_text("of a cloud that crashed")
        failed = up(folder, "--port", str(port))
    assert failed.returncode == 1
    assert f"port {port} is in use" in failed.stderr
    assert str(folder / "cloud.log") in failed.stderr
    assert not any((folder / left).exists() for left in ("env", "pid", "ports.json"))


def test_failed_start_leaves_no_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    (folder / "env").write_text("of a cloud that crashed")
    monkeypatch.setattr("local.cloud.background.sys.executable", "/bin/false")
    assert main(["up", "--folder", str(folder), "--no-app", "--port", "0"]) == 1
    assert not (folder / "env").exists()


def test_stop_without_a_cloud_succeeds(folder: Path) -> None:
    assert command("stop", folder).returncode == 0


def test_cloud_ended_with_sigkill_ends_its_children_and_can_be_restarted(folder: Path) -> None:
    up(folder)
    pid = int((folder / "pid").read_text())
    children = [os.pidfd_open(child) for child in children_of(pid)]
    os.kill(pid, signal.SIGKILL)
    for child in children:
        _wait_for_end(child)
    assert up(folder).returncode == 0


def test_interrupted_run_ends_with_its_children(folder: Path) -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "local.cloud", "run", "--folder", str(folder)),
            *("--port", "0", "--no-app", "--ready-fd", str(writing)),
        ],
        cwd=ROOT,
        pass_fds=[writing],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as answer:
        assert json.load(answer) == {"error": None}
    children = children_of(process.pid)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE) == 0
    assert not any(is_alive(child) for child in children)


def _wait_for_end(child: int) -> None:
    """Wait until the process behind a pidfd has ended: the descriptor becomes readable."""
    try:
        readable, _, _ = select.select([child], [], [], 10)
    finally:
        os.close(child)
    assert readable
