"""The reports of real scanners about a repository in which 51 credentials leak, end to end.

tests/support/scanned_repository.py says which scanners these are, and with which rules. Reports with a scanner's own
rules are piped with the files (`--root`), those with the shipped rules without. All of them are about one set of
accounts, and by itself each comes to the same findings: tests/unit/intake/test_stored_reports.py shows it.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob import AccessPolicy
from azure.storage.blob.aio import ContainerClient

from local.tenant.model import Account
from shared.domain.finding import Finding
from shared.domain.revocation import Revocation
from shared.domain.states import Reason, State
from shared.domain.target import ActionKind
from shared.intake.files import Files
from tests.support.credential_maker import Planted, Repository
from tests.support.deployment import Deployment
from tests.support.judged_reports import piped
from tests.support.scanned_repository import SCANS, Scan, stored, write

UNDER_A_POLICY = "app/policy.py"  # a SAS under the policy `readers` of the container `partners`
OF_A_DELEGATION = "logs/delegation.log"  # the signature of a user delegation SAS can't be verified
BOTH_KEYS = "infra/terraform.tfstate"  # two rotations of one account would cut off its clients
ONE_KEY_TWICE = "src/Api/Uploads.cs"  # two tokens of one key, which is rotated for one of them
RIGHTLY_LEFT = {
    OF_A_DELEGATION: "Requires approval, because the token's signature can't be verified",
    # Decided with the first key's leaks, or in a batch after them.
    BOTH_KEYS: "Requires approval, because the account's other key ",
    ONE_KEY_TWICE: "key1 of {} was regenerated, for another leak, which revoked this one, too.",
}
"""Of these files, why one leak has no action of its own."""


@dataclass(frozen=True)
class Outcome:
    """What the reports led to: the findings of each report, and the record of each finding by its fingerprint.

    `new` has the ids of the records that are there since, and `incidents` what the new incidents are about.
    """

    repository: Repository
    accounts: dict[str, Account]
    found: dict[Scan, tuple[Finding, ...]]
    records: dict[str, Revocation]
    new: set[str]
    incidents: set[str]

    def planted(self, finding: Finding) -> Planted:
        """Return what the repository says of the secret of a finding."""
        assert finding.secret is not None
        [one] = [one for one in self.repository.planted if one.secret_sha256 == finding.secret[1]]
        return one


async def give_policy(deployment: Deployment, account: Account) -> None:
    """Create the container with the policy that a SAS of the repository names."""
    endpoint, signer = f"https://{account.name}.blob.core.windows.net", account.keys["key1"]
    async with ContainerClient(endpoint, "partners", credential=signer, **deployment.options) as container:
        await container.create_container()
        policy = AccessPolicy(permission="r", expiry=datetime.now(UTC) + timedelta(days=30))
        await container.set_container_access_policy({"readers": policy})


def is_done(record: Revocation) -> bool:
    """Return whether a record is closed, or has an incident and waits for somebody."""
    return record.state in (State.CLOSED, State.DISMISSED) or (
        record.filed is not None and record.state is State.AWAITING_APPROVAL
    )


@pytest.fixture(scope="module")
async def outcome(deployment: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    repository, folder = stored(), tmp_path_factory.mktemp("repository")
    write(repository, folder)
    files = Files(str(folder))
    accounts = {name: await deployment.account(called=name, keys=keys) for name, keys in repository.keys.items()}
    [policy] = [one for one in repository.planted if one.file == UNDER_A_POLICY]
    await give_policy(deployment, accounts[policy.account])
    before, filed = await deployment.fingerprints(), len(deployment.cloud.model.incidents)
    found = {}
    for scan in SCANS:
        _, found[scan] = piped(scan.scanner, scan.body, files=None if scan.rules == "shipped" else files)
        await deployment.publish_found(found[scan], source=scan.scanner)
    ids = {finding.fingerprint for findings in found.values() for finding in findings}
    records = await deployment.all_settled(ids, until=is_done)
    incidents = {incident.fields["FindingId"] for incident in deployment.cloud.model.incidents[filed:]}
    return Outcome(repository, accounts, found, records, await deployment.fingerprints() - before, incidents)


@pytest.mark.parametrize("scan", SCANS, ids=lambda scan: scan.name)
def test_each_secret_of_a_report_has_one_record_and_is_revoked_or_rightly_left(outcome: Outcome, scan: Scan) -> None:
    findings = outcome.found[scan]

    assert len({finding.secret for finding in findings}) == len(findings) == scan.secrets
    for finding in findings:
        record, planted = outcome.records[finding.fingerprint], outcome.planted(finding)
        assert (record.account_name, record.key_name) == (planted.account, planted.key), planted.file
        if record.state is State.CLOSED:
            assert State.PROVEN in {change.state for change in record.changes}, planted.file
        else:
            why = RIGHTLY_LEFT[planted.file].format(planted.account)
            assert record.detail.startswith(why), (planted.file, record.detail)


def test_every_leak_of_the_repository_is_revoked_but_one_of_three_files(outcome: Outcome) -> None:
    """With the shipped rules each scanner reports all of them."""
    leaks = {outcome.planted(record.finding): record for record in outcome.records.values()}

    assert set(leaks) == set(outcome.repository.planted)
    left = Counter(leak.file for leak, record in leaks.items() if record.state is not State.CLOSED)
    assert left == Counter(list(RIGHTLY_LEFT))
    assert {leak.file: record.reason for leak, record in leaks.items() if record.reason} == {
        ONE_KEY_TWICE: Reason.COVERED
    }


def test_keys_are_rotated_that_signed_what_leaked_each_once_and_no_other(
    outcome: Outcome, deployment: Deployment
) -> None:
    rotated = Counter(
        (name, key) for name, account in outcome.accounts.items() for key in deployment.rotations(account)
    )
    closed = [record for record in outcome.records.values() if record.state is State.CLOSED]
    by_policy = [r for r in closed if r.plan is not None and r.plan.action is ActionKind.STORED_POLICY]

    assert [outcome.planted(record.finding).file for record in by_policy] == [UNDER_A_POLICY]
    signers = {(r.account_name, r.key_name) for r in closed if r not in by_policy}
    assert rotated == Counter(dict.fromkeys(signers, 1))


def test_no_record_and_no_incident_is_about_anything_else(outcome: Outcome) -> None:
    assert outcome.new == set(outcome.records)
    assert len(outcome.records) == len(outcome.repository.planted) == 51
    shared = {r.filed.item_id for r in outcome.records.values() if r.filed is not None and r.filed.shared}
    assert outcome.incidents <= set(outcome.records) | shared
