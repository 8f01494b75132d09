"""Reports as the sources post them: the product accepts each, and it has what the source itself reports."""

import pytest

from local.entra.service import Entra
from local.reporters import reports
from local.reporters.reports import NothingToReport
from local.tenant import identities
from local.tenant.model import Account, Cloud
from shared.sas import extract
from tests.support import samples


@pytest.fixture
def cloud() -> Cloud:
    made = Cloud(identities=identities.directory(), users=identities.users())
    made.accounts[samples.ACCOUNT] = Account(samples.ACCOUNT, "research", keys=dict(samples.KEYS))
    return made


@pytest.mark.parametrize("source", ["github", "azure-devops", "defender"])
def test_source_with_alerts_posts_no_secret(cloud: Cloud, source: str) -> None:
    posted = reports.make(cloud, Entra(cloud), source=source, text=samples.account_sas())

    assert extract(posted.body.decode()) == ()
    assert b"sig=" not in posted.body


@pytest.mark.parametrize("source", [s for s in reports.SOURCES if s not in ("github", "azure-devops", "defender")])
def test_source_without_alerts_posts_the_finding(cloud: Cloud, source: str) -> None:
    posted = reports.make(cloud, Entra(cloud), source=source, text=samples.account_sas())

    assert b"sig=" in posted.body


def test_github_alert_has_the_query_of_a_sas_and_the_whole_of_a_key(cloud: Cloud) -> None:
    reports.make(cloud, Entra(cloud), source="github", text=samples.account_sas())
    reports.make(cloud, Entra(cloud), source="github", text=samples.connection_string())

    assert [a.secret_type for a in cloud.alerts.github] == ["azure_sas_token", "azure_storage_account_key"]
    assert cloud.alerts.github[0].secret == samples.account_sas().partition("?")[2]


def test_defender_names_the_key_that_signed(cloud: Cloud) -> None:
    for key in ("key1", "key2"):
        reports.make(cloud, Entra(cloud), source="defender", text=samples.account_sas(key_name=key))

    assert [alert.signed_with for alert in cloud.alerts.defender] == ["Key 1", "Key 2"]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("gitlab", samples.account_sas()),
        ("wiz", "hello"),
        ("defender", samples.account_sas().replace("robust", "other")),
    ],
)
def test_text_without_a_credential_is_refused_with_the_reason(cloud: Cloud, source: str, text: str) -> None:
    with pytest.raises(NothingToReport):
        reports.make(cloud, Entra(cloud), source=source, text=text)
