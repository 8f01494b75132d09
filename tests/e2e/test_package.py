"""The deployed package: the files that `.funcignore` keeps start as intake app and as responder app."""

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path

import httpx
import pytest

from local.cloud.cloud import LocalCloud, running
from local.reporters import reports
from shared.domain import report as findings
from tests.support.bicep import ROOT, functions
from tests.support.deployment import Deployment, is_closed
from tests.support.function_host import HostProcess, running_host
from tests.support.leaks import account_sas
from tests.support.patience import PATIENCE

PACKAGES = ".python_packages/lib/site-packages"  # where the platform's build puts them


def ignored(path: Path) -> bool:
    """Whether `.funcignore` leaves a file out: its patterns are of names, at any depth."""
    patterns = [line for line in (ROOT / ".funcignore").read_text().split() if line]
    return any(fnmatch(part, pattern) for part in path.parts for pattern in patterns)


def tracked() -> list[Path]:
    """Every file of the project that is under version control."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [Path(line) for line in listed.stdout.splitlines()]


def test_package_contains_exactly_the_app() -> None:
    left = {path.parts[0] for path in tracked() if not ignored(path)}

    assert left == {"function_app.py", "host.json", "requirements.txt", "shared", "LICENSE"}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as the platform's build makes it."""
    folder = tmp_path_factory.mktemp("package")
    for path in tracked():
        if not ignored(path):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, folder / path)
    into = ("--python", sys.executable, "--target", folder / PACKAGES)
    requirements = ("--require-hashes", "--requirement", folder / "requirements.txt")
    uv = (sys.executable, "-m", "uv", "pip", "install", "--quiet")  # what pip does in a minute, it does in seconds
    subprocess.run((*uv, *into, *requirements), check=True, stdout=subprocess.DEVNULL)
    return folder


@dataclass
class Deployed:
    """The two apps, of one package, on one local cloud."""

    cloud: LocalCloud
    responder: str
    intake: HostProcess


@pytest.fixture(scope="module")
async def deployed_apart(package: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployed]:
    folder = tmp_path_factory.mktemp("apart")
    packages = {"PYTHONPATH": str(package / PACKAGES)}
    without_intake, alone = (
        {f"AzureWebJobs.{name}.Disabled": "true" for name in functions()[other]} for other in ("intake", "responder")
    )
    async with running(folder=folder, hosts=1, app_folder=package, settings=packages | without_intake) as cloud:
        variables = await cloud.add_intake()
        async with running_host(package, folder / "intake.log", dict(variables) | packages | alone) as intake:
            yield Deployed(cloud, cloud.hosts[0], intake)


async def test_packages_of_the_two_apps_have_different_functions(deployed_apart: Deployed) -> None:
    hosts = (deployed_apart.responder, deployed_apart.intake.url)
    calls = (("GET", "health"), ("GET", "revocations"), ("POST", "intake/wiz"))
    async with httpx.AsyncClient(trust_env=False) as client:
        answers = [
            (await client.request(method, f"{host}/api/{path}")).status_code
            for host in hosts
            for method, path in calls
        ]

    assert answers == [200, 401, 404, 200, 404, 401]


async def test_leak_accepted_by_the_intake_app_is_revoked_by_the_responder_app(deployed_apart: Deployed) -> None:
    deployment = Deployment(deployed_apart.cloud)
    account = await deployment.account()
    leak = account_sas(account.name, account.keys["key2"])
    posted = reports.make(deployment.cloud.model, deployment.cloud.entra, source="github", text=leak)

    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        url = f"{deployed_apart.intake.url}/api/intake/github"
        answer = await client.post(url, content=posted.body, headers=posted.headers)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    # Not from the answer: where reading the alert takes long, the answer comes first.
    [reported] = findings.in_text(leak, source="github", url=None, detected_at=datetime.now(UTC))
    record = await deployment.settled(reported.finding.fingerprint, until=is_closed)

    assert deployment.rotations(account) == ["key2"]
    assert deployment.cloud.model.alerts.github[-1].resolution == "revoked"
    assert record.closed_alerts
