"""What leaked, and where."""

from dataclasses import replace

import pytest

from tests.support import other_services, samples
from tests.support.built_briefings import UNREADABLE, briefed, contained
from tests.support.samples import ACCOUNT, ACCOUNT_ID


def test_a_briefing_says_what_leaked_and_where() -> None:
    briefing = contained()

    assert (briefing.kind, briefing.account, briefing.account_id) == ("account SAS", ACCOUNT, ACCOUNT_ID)
    assert (briefing.source, briefing.found_at_url) == ("github", "https://github.com/contoso/x/README.md")
    assert briefing.severity == "critical"
    assert briefing.fingerprint == samples.finding().fingerprint


def test_before_the_account_is_known_its_name_is_the_one_that_leaked() -> None:
    assert (briefed().account, briefed().account_id) == (ACCOUNT, None)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (samples.account_sas(), "account SAS"),
        (samples.blob_sas(), "service SAS"),
        (samples.policy_sas(), "service SAS with a stored access policy"),
        (samples.delegation_sas(), "user delegation SAS"),
        (samples.connection_string(), "account key"),
    ],
)
def test_every_kind_has_a_name(text: str, kind: str) -> None:
    assert briefed(finding=samples.finding(text)).kind == kind


def test_a_policy_is_named() -> None:
    assert briefed(finding=samples.finding(samples.policy_sas())).policy == "partners"


def test_credential_of_another_service_is_named_by_its_service() -> None:
    other = replace(UNREADABLE, other=other_services.COSMOS_KEY)

    briefing = briefed(finding=other)

    assert (briefing.kind, briefing.account) == ("credential of Azure Cosmos DB", None)
    assert briefing.grants == "Access to Azure Cosmos DB. Sasquash does not know to what in it."


def test_unreadable_report_is_shown_without_guessing() -> None:
    briefing = briefed(finding=UNREADABLE)

    assert (briefing.kind, briefing.account, briefing.severity) == ("unreadable report", None, "high")
    assert briefing.grants == "Unknown: the report could not be read."
    assert briefing.c3id == "ab" * 10
