"""The reports of several scanners about one repository: each leak is revoked once, or waits for a person."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

from azure.storage.blob import AccessPolicy
from azure.storage.blob.aio import ContainerClient

from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.intake.files import Files
from shared.sas import Kind
from tests.support.deployment import Deployment
from tests.support.judged_reports import piped
from tests.support.paths import ROOT

REPORTS = ROOT / "tests" / "unit" / "sources" / "reports"
TRUTH = json.loads((REPORTS / "truth.json").read_text(encoding="utf-8"))
POLICY_OF = "lucerne036e2e"  # one of its leaks is a SAS under the policy `upload` of the container `incoming`
SCANNERS = {
    "trivy.json": "trivy",
    "trivy.sarif": "sarif",
    "gitleaks.json": "gitleaks",
    "noseyparker.json": "noseyparker",
    "gitleaks.sarif": "sarif",
    "trufflehog.jsonl": "trufflehog",
    "trufflehog-filesystem.jsonl": "trufflehog",
    "kingfisher.json": "kingfisher",
    "kingfisher.sarif": "sarif",
    "detect-secrets.json": "detect-secrets",
    "ggshield.json": "ggshield",
    "secretlint.json": "secretlint",
}
DEVSKIM = json.loads((REPORTS / "devskim" / "truth.json").read_text(encoding="utf-8"))


def reported() -> list[Finding]:
    """Return what the scanners' reports come to, each piped with the files that it names."""
    files = Files(str(REPORTS / "repo"))
    found = (piped(source, (REPORTS / report).read_bytes(), files=files) for report, source in SCANNERS.items())
    return [finding for _, findings in found for finding in findings]


async def decided(deployment: Deployment, finding: Finding) -> Revocation:
    record = await deployment.settled(finding.fingerprint)
    return await deployment.settled(record.duplicate_of) if record.duplicate_of else record


async def test_leaks_that_several_scanners_report_are_revoked_or_wait_for_a_person(deployment: Deployment) -> None:
    accounts = {name: await deployment.account(called=name, keys=keys) for name, keys in TRUTH["keys"].items()}
    endpoint, signer = f"https://{POLICY_OF}.blob.core.windows.net", accounts[POLICY_OF].keys["key1"]
    async with ContainerClient(endpoint, "incoming", credential=signer, **deployment.options) as container:
        await container.create_container()
        policy = AccessPolicy(permission="rw", expiry=datetime.now(UTC) + timedelta(days=30))
        await container.set_container_access_policy({"upload": policy})
    found = reported()

    await deployment.publish_found(found, source="x")
    await deployment.all_settled({finding.fingerprint for finding in found})
    records = [await decided(deployment, finding) for finding in found]

    secrets = {finding.secret for finding in found}
    assert len({record.fingerprint for record in records}) == len(secrets), "one leak a secret"
    undecided = [r for r in records if r.state in (State.UNRESOLVED, State.FAILED)]
    assert [(r.reason, r.detail) for r in undecided] == []
    assert all(record.key_name is not None or record.reason is Reason.COVERED for record in records)
    leaked = {(leak["account"], leak["signed_by"]) for leak in TRUTH["expected"]}
    rotated = {(name, key) for name, account in accounts.items() for key in deployment.rotations(account)}
    assert rotated <= leaked, "a key that signed nothing that leaked"
    acted = {record.account_name for record in records if record.state is not State.AWAITING_APPROVAL}
    assert {name for name, _ in rotated} == acted - {POLICY_OF}, "for the policy's SAS its policy is ended"
    proven = {(record.account_name, record.key_name) for record in records if record.key_name}
    assert proven <= leaked


async def test_leaks_of_a_devskim_report_are_revoked_by_one_rotation(deployment: Deployment) -> None:
    """DevSkim shows `sig=…` alone: the files say what leaked. One key signed all of it."""
    [(name, keys)] = DEVSKIM["keys"].items()
    account = await deployment.account(called=name, keys=keys)
    report, files = (REPORTS / "devskim" / "report.sarif").read_bytes(), Files(str(REPORTS / "devskim"))
    _, found = piped("sarif", report, files=files)

    await deployment.publish_found(found, source="sarif")
    records = await deployment.all_settled(finding.fingerprint for finding in found)

    assert Counter(finding.secret[0] for finding in found if finding.secret) == {
        Kind.ACCOUNT_SAS: 1,
        Kind.ACCOUNT_KEY: 1,
        Kind.SERVICE_SAS: 2,
    }
    assert deployment.rotations(account) == ["key1"]
    assert {record.key_name for record in records.values()} == {"key1"}
    assert sorted(str(record.reason or record.state) for record in records.values()) == [
        "closed",
        "covered",
        "covered",
        "covered",
    ]
