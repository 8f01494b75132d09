"""The reports of several scanners about one repository: each leak is revoked once, or waits for a person."""

import json
from datetime import UTC, datetime, timedelta

from azure.core.messaging import CloudEvent
from azure.storage.blob import AccessPolicy
from azure.storage.blob.aio import ContainerClient

from shared.api.intake.registry import TEXT_READERS
from shared.domain import report as findings
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.intake.files import Files
from shared.sources.parsing import items_of, joined
from shared.sources.surroundings import with_surroundings
from tests.support.deployment import Deployment
from tests.support.paths import ROOT

REPORTS = ROOT / "tests" / "unit" / "sources" / "reports"
TRUTH = json.loads((REPORTS / "truth.json").read_text(encoding="utf-8"))
POLICY_OF = "lucerne036e2e"  # one of its leaks is a SAS under the policy `upload` of the container `incoming`
SCANNERS = {
    "trivy.json": "trivy",
    "gitleaks.json": "gitleaks",
    "trufflehog.jsonl": "trufflehog",
    "kingfisher.json": "kingfisher",
    "noseyparker.json": "noseyparker",
    "detect-secrets.json": "detect-secrets",
    "gitleaks.sarif": "sarif",
}


def reported() -> list[Finding]:
    """Return what the scanners' reports come to, each piped with the files that it names."""
    files = Files(str(REPORTS / "repo"))
    found: list[Finding] = []
    for report, source in SCANNERS.items():
        entries = with_surroundings(TEXT_READERS[source]((REPORTS / report).read_bytes()), files.around)
        found += joined(items_of(entries, source=source, now=datetime.now(UTC)))[1]
    return found


async def decided(deployment: Deployment, finding: Finding) -> Revocation:
    record = await deployment.settled(finding.fingerprint)
    return await deployment.settled(record.duplicate_of) if record.duplicate_of else record


async def test_leaks_that_several_scanners_report_are_revoked_or_wait_for_a_person(deployment: Deployment) -> None:
    accounts = {}
    for name, keys in TRUTH["keys"].items():
        accounts[name] = await deployment.account(called=name)
        accounts[name].keys.update(keys)
    endpoint, signer = f"https://{POLICY_OF}.blob.core.windows.net", accounts[POLICY_OF].keys["key1"]
    async with ContainerClient(endpoint, "incoming", credential=signer, **deployment.options) as container:
        await container.create_container()
        policy = AccessPolicy(permission="rw", expiry=datetime.now(UTC) + timedelta(days=30))
        await container.set_container_access_policy({"upload": policy})
    found = reported()

    for start in range(0, len(found), 20):
        await deployment.publish(
            *(
                CloudEvent(source="/intake/x", type=findings.REPORTED, id=f.fingerprint, data=f.to_data())
                for f in found[start : start + 20]
            )
        )
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
