import re

import pytest

from shared.domain.decision.policy import Mode
from shared.domain.decision.rules import default_rules
from shared.errors import SettingsError
from shared.settings import IncidentSink, Settings, declared
from tests.support.paths import ROOT

SENDER_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
COMPLETE = {
    "SASQUASH_MODE": "auto",
    "SASQUASH_SUBSCRIPTIONS": "3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33",
    "SASQUASH_STORAGE__tableServiceUri": "https://sasquashstate.table.core.windows.net/",
    "SASQUASH_STORAGE__queueServiceUri": "https://sasquashstate.queue.core.windows.net/",
    "SASQUASH_STORAGE__blobServiceUri": "https://sasquashstate.blob.core.windows.net/",
    "SASQUASH_TOPIC_ENDPOINT": "https://topic.westeurope-1.eventgrid.azure.net/api/events",
    "SASQUASH_TENANT_ID": "7e1d5f0a-6c1b-4f0e-9d51-0a6d1c3e9b11",
    "SASQUASH_SECURITY_MAILBOX": "security@contoso.com",
    "SASQUASH_MAIL_SENDER": "sasquash@contoso.com",
    "SASQUASH_MAIL_DOMAINS": "contoso.com, fabrikam.com",
    "SASQUASH_INCIDENT_SITE": "contoso.sharepoint.com,5f0c7a1e,1c9b2b7d",
    "SASQUASH_INCIDENT_LIST": "b7d0a9c4-3f6e-4d2b-9a51-6e8c0f1d2b35",
}

MAY_BE_EMPTY = {"SASQUASH_MAIL_SENDER", "SASQUASH_MAIL_DOMAINS", "SASQUASH_INCIDENT_SITE", "SASQUASH_INCIDENT_LIST"}


def test_reads_a_complete_environment() -> None:
    settings = Settings.read(COMPLETE)

    assert settings.mode is Mode.AUTO
    assert settings.mail_domains == ("contoso.com", "fabrikam.com")


def test_own_accounts_are_those_of_the_storage_endpoints() -> None:
    settings = Settings.read(
        COMPLETE | {"SASQUASH_STORAGE__queueServiceUri": "https://sasquashqueues.queue.core.windows.net/"}
    )

    assert settings.own_accounts == {"sasquashstate", "sasquashqueues"}


def test_account_of_the_intake_host_is_one_of_our_own() -> None:
    settings = Settings.read(COMPLETE | {"SASQUASH_HOST_ACCOUNTS": "stsqin1, stsqin2"})

    assert settings.own_accounts == {"sasquashstate", "stsqin1", "stsqin2"}


def test_rules_replace_the_default_table() -> None:
    table = '[{"name": "rest", "then": "ask", "why": "so"}]'

    assert [rule.name for rule in Settings.read(COMPLETE | {"SASQUASH_RULES": table}).rule_table] == ["rest"]


def test_default_rules_use_the_configured_hours() -> None:
    settings = Settings.read(COMPLETE | {"SASQUASH_ACT_ALONE_HOURS": "7"})

    assert settings.rule_table == default_rules(act_alone_hours=7)


def test_error_in_the_rules_names_rule_and_field() -> None:
    table = '[{"name": "rest", "then": "rotate", "why": "so"}]'

    with pytest.raises(SettingsError, match=r"^SASQUASH_RULES is malformed: it is wrong in rule 'rest': then must"):
        Settings.read(COMPLETE | {"SASQUASH_RULES": table})


def test_mail_settings_follow_from_the_security_mailbox() -> None:
    empty = {"SASQUASH_MAIL_SENDER": "", "SASQUASH_MAIL_DOMAINS": "", "SASQUASH_SECURITY_MAILBOX": "soc@Contoso.com"}

    settings = Settings.read(COMPLETE | empty)

    assert (settings.mail_sender, settings.mail_domains) == ("soc@Contoso.com", ("contoso.com",))


@pytest.mark.parametrize(
    ("changed", "sink"),
    [
        ({}, IncidentSink.SHAREPOINT),
        ({"SASQUASH_INCIDENT_SITE": "", "SASQUASH_INCIDENT_LIST": ""}, IncidentSink.MAIL),
        ({"SASQUASH_INCIDENTS": "mail"}, IncidentSink.MAIL),
        ({"SASQUASH_INCIDENT_SITE": "", "SASQUASH_INCIDENTS": "defender"}, IncidentSink.DEFENDER),
    ],
)
def test_incidents_go_to_mail_unless_a_site_or_another_sink_is_set(
    changed: dict[str, str], sink: IncidentSink
) -> None:
    assert Settings.read(COMPLETE | changed).incidents is sink


@pytest.mark.parametrize("missing", ["SASQUASH_INCIDENT_SITE", "SASQUASH_INCIDENT_LIST"])
def test_sharepoint_requires_site_and_list(missing: str) -> None:
    with pytest.raises(SettingsError, match=f"^{missing} is missing: SASQUASH_INCIDENTS=sharepoint requires it"):
        Settings.read(COMPLETE | {"SASQUASH_INCIDENTS": "sharepoint", missing: ""})


@pytest.mark.parametrize("name", [name for name in COMPLETE if name not in MAY_BE_EMPTY])
def test_missing_setting_is_named(name: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} is missing"):
        Settings.read({key: value for key, value in COMPLETE.items() if key != name})


def test_empty_required_setting_is_missing() -> None:
    with pytest.raises(SettingsError, match="SASQUASH_MODE is missing"):
        Settings.read({**COMPLETE, "SASQUASH_MODE": "  "})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SASQUASH_MODE", "yolo"),
        ("SASQUASH_SUBSCRIPTIONS", "production"),
        ("SASQUASH_SUBSCRIPTIONS", ","),
        ("SASQUASH_STORAGE__tableServiceUri", "http://sasquashstate.table.core.windows.net"),
        ("SASQUASH_STORAGE__queueServiceUri", "https://host/?sv=2020-01-01"),
        ("SASQUASH_HOST_ACCOUNTS", "Account_1"),
        ("SASQUASH_CLIENT_ID", "me"),
        ("SASQUASH_CLOUD", "germany"),
        ("APPLICATIONINSIGHTS_CONNECTION_STRING", "InstrumentationKey=x;IngestionEndpoint=https://h/"),
        ("SASQUASH_SECURITY_MAILBOX", "security"),
        ("SASQUASH_MAIL_SENDER", "a@b@c.com"),
        ("SASQUASH_MAIL_DOMAINS", "*.contoso.com"),
        ("SASQUASH_INCIDENT_SITE", "contoso/../me"),
        ("SASQUASH_RAW_EVENTS", "perhaps"),
        ("SASQUASH_TAG_MODES", "auto,yolo"),
        ("SASQUASH_ACT_ALONE_HOURS", "-1"),
        ("SASQUASH_RULES", "account-key: act"),
        ("SASQUASH_RULES", '[{"name": "rest", "then": "rotate", "why": "so"}]'),
        ("SASQUASH_ROTATIONS_A_DAY", "0"),
        ("SASQUASH_APPROVAL_HOURS", "1.5"),
        ("SASQUASH_INTAKE_SENDERS", "wiz"),
        ("SASQUASH_INTAKE_SENDERS", "wiz=short"),
        ("SASQUASH_INTAKE_SENDERS", "wiz=whsec_c2hvcnQ="),
        ("SASQUASH_INTAKE_SENDERS", "Wiz=whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("SASQUASH_INTAKE_SENDERS", "wiz=https://evil.example/secrets/x"),
        ("SASQUASH_INTAKE_SENDERS", f"wiz={SENDER_SECRET},wiz={SENDER_SECRET}"),
        ("SASQUASH_GITHUB_WEBHOOK_SECRET", "https://vault.vault.azure.net/secrets/x/version"),
        ("SASQUASH_GITHUB_APP", "my app"),
        ("SASQUASH_GITHUB_API", "http://api.github.com"),
        ("SASQUASH_GITHUB_SECRET_TYPES", "azure sas"),
        ("SASQUASH_AZURE_DEVOPS_ORGANIZATION", "contoso/x"),
    ],
)
def test_malformed_setting_is_named_in_one_line_without_its_value(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} is malformed") as raised:
        Settings.read({**COMPLETE, name: value})

    assert "\n" not in str(raised.value)
    assert f"'{value}'" not in str(raised.value)


def test_senders_have_a_secret_or_the_id_of_one() -> None:
    vault = "https://sasquash.vault.azure.net/secrets/socradar"
    settings = Settings.read(COMPLETE | {"SASQUASH_INTAKE_SENDERS": f"wiz={SENDER_SECRET}, socradar={vault}"})

    assert {name: secret.vault_id for name, secret in settings.intake_senders.items()} == {
        "wiz": None,
        "socradar": vault,
    }


@pytest.mark.parametrize(
    "name",
    [
        "INTAKE_SENDERS",
        "GITHUB_WEBHOOK_SECRET",
        "GITHUB_PRIVATE_KEY",
        "GITHUB_CLOSING_PRIVATE_KEY",
        "AZURE_DEVOPS_PASSWORD",
    ],
)
def test_repr_of_settings_has_no_secret(name: str) -> None:
    value = f"wiz={SENDER_SECRET}" if name == "INTAKE_SENDERS" else SENDER_SECRET

    assert SENDER_SECRET not in repr(Settings.read(COMPLETE | {f"SASQUASH_{name}": value}))


def test_documentation_lists_every_setting_with_default_and_meaning() -> None:
    documented = dict(
        re.findall(r"^\| `([A-Z_]+\w+)` \| (.+ \| .+) \|$", (ROOT / "docs/settings.md").read_text(), re.MULTILINE)
    )
    expected = {
        setting.name: (
            f"{'required' if setting.default is None else f'`{setting.default}`' if setting.default else 'empty'}"
            f" | {setting.meaning}"
        )
        for setting in declared().values()
    }

    assert documented == expected


def test_example_file_sets_every_required_setting() -> None:
    example = (ROOT / "local.settings.json.example").read_text()

    missing = [s.name for s in declared().values() if s.default is None and f'"{s.name}"' not in example]
    assert missing == []


@pytest.mark.parametrize("days", ["0", "30", "400", "4000"])
def test_retention_is_never_or_at_least_a_month(days: str) -> None:
    assert Settings.read(COMPLETE | {"SASQUASH_RETENTION_DAYS": days}).retention_days == int(days)


@pytest.mark.parametrize("days", ["1", "29", "4001", "-1", "many"])
def test_other_retention_is_malformed(days: str) -> None:
    with pytest.raises(SettingsError, match="SASQUASH_RETENTION_DAYS is malformed"):
        Settings.read(COMPLETE | {"SASQUASH_RETENTION_DAYS": days})


OF_THE_COPY = {
    "SASQUASH_HISTORY_ENDPOINT": "https://dcr-5kyl.westeurope-1.ingest.monitor.azure.com",
    "SASQUASH_HISTORY_RULE": "dcr-" + "0" * 32,
    "SASQUASH_HISTORY_WORKSPACE": "3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33",
}


@pytest.mark.parametrize("missing", list(OF_THE_COPY))
def test_copy_of_the_history_requires_all_of_its_settings(missing: str) -> None:
    with pytest.raises(SettingsError, match=f"{missing} is missing"):
        Settings.read(COMPLETE | OF_THE_COPY | {missing: ""})


def test_without_settings_of_the_copy_there_is_none() -> None:
    settings = Settings.read(COMPLETE | dict.fromkeys(OF_THE_COPY, ""))
    assert settings.history_endpoint is None
