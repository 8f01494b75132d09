"""A repository of 47 files of many kinds in which Azure Storage credentials leak, the same for the same seed.

`python -m tests.support.leaking_repository FOLDER [FILE…]` writes it, or some files of it, and commits it to a new
git repository; `--store` writes it and what leaks there to one file. tests/support/scanned_repository.py reads such a
file, and the reports that scanners wrote about the folder.
"""

import argparse
import base64
import json
import subprocess
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path

from tests.support.credential_maker import Maker, Repository
from tests.support.leaking_files import code, config, operations
from tests.support.leaking_files.writers import WRITERS

SEED = "2026-12-01"
_DEVELOPER = {"NAME": "dev", "EMAIL": "dev@example.com"}
_WHEN = "2026-12-01T10:00:00Z"
_MODULES = (code, config, operations)  # each adds its writers when it is imported


def repository(only: Collection[str] = (), *, seed: str = SEED) -> Repository:
    """Return the repository, or those of its files that `only` names."""
    maker = Maker(seed)
    files = {}
    for path, write in WRITERS.items():
        maker.file = path
        files[path] = write(maker)
    files |= _harmless()
    kept = {path: text for path, text in files.items() if not only or path in only}
    planted = tuple(one for one in maker.planted if one.file in kept)
    accounts = {one.account for one in planted}
    return Repository(kept, planted, {name: keys for name, keys in maker.keys.items() if name in accounts})


def commit(repository: Repository, folder: Path) -> None:
    """Write the files into a new git repository, in one commit of a certain time."""
    for path, text in repository.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    when = {"GIT_AUTHOR_DATE": _WHEN, "GIT_COMMITTER_DATE": _WHEN}
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _DEVELOPER.items()}
    alone = {
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }
    for command in (
        ["init", "--quiet"],
        ["add", "--all", "--force"],
        ["commit", "--quiet", "--message", "Add the app"],
    ):
        subprocess.run(["git", *command], cwd=folder, env={**alone, **when, **who}, check=True)


def _harmless() -> dict[str, str]:
    """Return files without a leak, of which a rule that is too wide would find something."""
    digest = base64.b64encode(bytes(range(100, 164))).decode()
    return {
        "package-lock.json": json.dumps({"packages": {"azure-storage": {"integrity": f"sha512-{digest}"}}}, indent=2),
        "src/signature.js": "// account\nconst sig = computeTheSignatureOfTheRequestFromItsHeaders(request);\n",
    }


def main() -> None:
    """Write the repository."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("files", nargs="*", help="which of its files; default: all")
    parser.add_argument("--store", type=Path, help="a file for the files, what leaks there, and the accounts' keys")
    chosen = parser.parse_args()
    made = repository(chosen.files)
    commit(made, chosen.folder)
    if chosen.store:
        chosen.store.write_text(json.dumps(asdict(made), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
