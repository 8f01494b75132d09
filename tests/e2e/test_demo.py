"""`make demo`: to its end, beside other clouds, and interrupted."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.patience import PATIENCE


@contextmanager
def demo(folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "local.demo", "--folder", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_demo_succeeds_and_can_be_repeated(tmp_path: Path) -> None:
    for _ in range(2):
        with demo(tmp_path) as process:
            output, _ = process.communicate(timeout=PATIENCE)

        assert process.returncode == 0, output
        assert re.fullmatch(
            r"Revoked after \d+\.\d s, verified after \d+\.\d s · incident 1 filed"
            r" · mail sent to model-owner@contoso\.com, security@contoso\.com",
            output.splitlines()[-1],
        )


def test_interrupted_demo_leaves_no_process(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "Starting the local cloud" in line:  # whole once the cloud is up, with the story still to come
                break
        process.send_signal(signal.SIGSTOP)  # so that it cannot end while its children are listed
        children = _descendants(process.pid)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=PATIENCE)

    assert len(children) >= 3  # the cloud, Azurite, a host
    assert process.returncode == 130
    assert children.isdisjoint(_processes())


def _processes() -> dict[int, int]:
    """Every process's parent, zombies left out."""
    listed = subprocess.run(["ps", "-axo", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = (line.split() for line in listed.splitlines())
    return {int(pid): int(parent) for pid, parent, state, *_ in rows if not state.startswith("Z")}


def _descendants(pid: int) -> set[int]:
    parents = _processes()
    found: set[int] = set()
    wave = {pid}
    while wave:
        wave = {child for child, parent in parents.items() if parent in wave}
        found |= wave
    return found
