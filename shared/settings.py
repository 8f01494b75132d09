"""All settings, and the only reader of the environment. docs/settings.md is checked against this file by a test."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from enum import StrEnum
from typing import Any, Self
from urllib.parse import urlsplit

from shared.domain.azure_clouds import CLOUDS, AzureCloud, CloudName
from shared.domain.decision.action_spec import ActionSpecs
from shared.domain.decision.policy import DecisionPolicy, Mode
from shared.domain.decision.rule_parser import parse as parse_rules
from shared.domain.decision.rules import Rule, default_rules
from shared.domain.revocation import AtDeadline
from shared.errors import SettingsError
from shared.setting_parsers import (
    SecretSetting,
    account_name,
    address,
    audience,
    choice,
    connection_string,
    domain,
    guid,
    https,
    listed,
    number,
    opaque,
    optional,
    secret,
    senders,
    switch,
    tag_name,
    vault,
    word,
    workspace,
)


class IncidentSink(StrEnum):
    """Where incidents are filed."""

    SHAREPOINT = "sharepoint"
    DEFENDER = "defender"
    SENTINEL = "sentinel"
    WEBHOOK = "webhook"


_NEEDED = {
    IncidentSink.SHAREPOINT: ("incident_site", "incident_list"),
    IncidentSink.DEFENDER: (),
    IncidentSink.SENTINEL: ("sentinel_workspace",),
    IncidentSink.WEBHOOK: ("incident_webhook", "incident_webhook_secret"),
}


@dataclass(frozen=True, slots=True)
class Setting:
    """How one field of `Settings` is read. `default` is text as in the environment; None makes it required."""

    name: str
    parse: Callable[[str], Any]
    default: str | None
    meaning: str


# ruff: noqa: RUF009 -- `_setting` only describes a field: it computes nothing at import
def _setting(name: str, parse: Callable[[str], Any], meaning: str, default: str | None = None) -> Any:
    return field(metadata={"setting": Setting(name, parse, default, meaning)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The app's settings, checked. Made by `read`, at start."""

    mode: Mode = _setting(
        "SASQUASH_MODE",
        choice(Mode),
        "What may happen without a person: `observe` (nothing), `approve` (ask for everything), `auto` (what the "
        "rule table lets it). Start with a week of `observe`.",
    )
    subscriptions: tuple[str, ...] = _setting(
        "SASQUASH_SUBSCRIPTIONS",
        listed(guid, least=1),
        "Ids of the subscriptions whose storage accounts Sasquash looks after, separated by commas.",
    )
    table_endpoint: str = _setting(
        "SASQUASH_STORAGE__tableServiceUri",
        https,
        "Table endpoint of Sasquash's own storage account.",
    )
    queue_endpoint: str = _setting(
        "SASQUASH_STORAGE__queueServiceUri",
        https,
        "Queue endpoint of Sasquash's own storage account; the queue triggers read it too.",
    )
    blob_endpoint: str = _setting(
        "SASQUASH_STORAGE__blobServiceUri",
        https,
        "Blob endpoint of Sasquash's own storage account, where Event Grid puts its dead letters.",
    )
    client_id: str | None = _setting(
        "SASQUASH_CLIENT_ID",
        optional(guid),
        "Client id of the app's user-assigned managed identity. Empty: whoever is signed in on this machine "
        "(`az login`), for development.",
        default="",
    )
    cloud_name: CloudName = _setting(
        "SASQUASH_CLOUD",
        choice(CloudName),
        "The Azure cloud: `public`, `usgovernment` or `china`.",
        default="public",
    )
    topic_endpoint: str = _setting(
        "SASQUASH_TOPIC_ENDPOINT",
        https,
        "Endpoint of the Event Grid topic, where each change of state is announced.",
    )
    insights_connection: str = _setting(
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        connection_string,
        "Connection string of the Application Insights resource that gets a trace of each leak, as the app's "
        "identity; the Functions host reads it, too. Empty: there are no traces.",
        default="",
    )
    tenant_id: str = _setting(
        "SASQUASH_TENANT_ID",
        guid,
        "Id of the Entra tenant whose people may call the app, and whose user delegation SAS it knows to be ours.",
    )
    api_audiences: tuple[str, ...] = _setting(
        "SASQUASH_API_AUDIENCES",
        listed(audience),
        "Audiences that a caller's access token may be for, separated by commas: the app registration's id URI "
        "(`api://sasquash`) and its client id. Empty: every call but health is refused.",
        default="",
    )
    desk: str | None = _setting(
        "SASQUASH_DESK",
        optional(https),
        "URL of the desk, which mails lead to: `https://<app>/api/desk`. Empty: mails have no link.",
        default="",
    )
    key_vaults: tuple[str, ...] = _setting(
        "SASQUASH_KEY_VAULTS",
        listed(vault),
        "Names of the key vaults in which a tag `sasquash-key-vault` may name a secret that gets the new key, "
        "separated by commas. Empty: no key is handed over.",
        default="",
    )
    security_mailbox: str = _setting(
        "SASQUASH_SECURITY_MAILBOX",
        address,
        "The security team's mailbox. It gets a copy of every mail, and the mails that owners must not get.",
    )
    mail_sender: str = _setting(
        "SASQUASH_MAIL_SENDER",
        address,
        "The mailbox that Sasquash sends from; Mail.Send is scoped to it.",
    )
    mail_domains: tuple[str, ...] = _setting(
        "SASQUASH_MAIL_DOMAINS",
        listed(domain, least=1),
        "Domains that an owner's address may be in, separated by commas. Tags are written by people we don't trust.",
    )
    owner_tags: tuple[str, ...] = _setting(
        "SASQUASH_OWNER_TAGS",
        listed(tag_name),
        "Names of the tags that hold owners' mail addresses, in order of preference.",
        default="sasquash-owner,owner",
    )
    owners_of_apps: bool = _setting(
        "SASQUASH_OWNERS_OF_APPS",
        switch,
        "Whether the owners of an app are told that has rights on the account, where nobody nearer is found (`on`). "
        "Needs Graph's `Application.Read.All`.",
        default="off",
    )
    incidents: IncidentSink = _setting(
        "SASQUASH_INCIDENTS",
        choice(IncidentSink),
        "Where incidents are filed: `sharepoint` (a list), `defender` (the Defender portal), `sentinel` (a "
        "workspace), or `webhook` (posted, signed, to a URL of yours). Each needs settings of its own "
        "(docs/incidents.md).",
        default="sharepoint",
    )
    incident_site: str | None = _setting(
        "SASQUASH_INCIDENT_SITE",
        optional(opaque),
        "Id of the SharePoint site that holds the incident list (`host,site-guid,web-guid`).",
        default="",
    )
    incident_list: str | None = _setting(
        "SASQUASH_INCIDENT_LIST",
        optional(opaque),
        "Id of the SharePoint list that incidents are filed in.",
        default="",
    )
    sentinel_workspace: str | None = _setting(
        "SASQUASH_SENTINEL_WORKSPACE",
        optional(workspace),
        "ARM id of the Log Analytics workspace with Microsoft Sentinel that incidents are filed in.",
        default="",
    )
    incident_webhook: str | None = _setting(
        "SASQUASH_INCIDENT_WEBHOOK",
        optional(https),
        "URL that incidents are posted to.",
        default="",
    )
    incident_webhook_secret: SecretSetting | None = _setting(
        "SASQUASH_INCIDENT_WEBHOOK_SECRET",
        secret,
        "The secret that they are signed with, as in Standard Webhooks (`whsec_` and 24 to 64 bytes in base64), or "
        "the id of a Key Vault secret that holds it.",
        default="",
    )
    raw_events: bool = _setting(
        "SASQUASH_RAW_EVENTS",
        switch,
        "Whether an event may carry a raw token (`on`). Event Grid stores and dead-letters what it carries, so "
        "the default is `off`.",
        default="off",
    )
    tag_modes: tuple[Mode, ...] = _setting(
        "SASQUASH_TAG_MODES",
        listed(choice(Mode)),
        "Modes that the tag `sasquash-mode` on a storage account may choose for it. Empty: the tag has no effect.",
        default="",
    )
    act_alone_hours: int = _setting(
        "SASQUASH_ACT_ALONE_HOURS",
        number(0, 24 * 365 * 100),
        "A read-only token of one resource is revoked without asking when it would live longer than this many hours "
        "(rule `lives-long` of the default table; `SASQUASH_RULES` has hours of its own).",
        default="24",
    )
    rules: tuple[Rule, ...] = _setting(
        "SASQUASH_RULES",
        lambda text: parse_rules(text) if text else (),
        "The rule table of mode `auto`, as JSON (docs/rules.md). Empty: the default table of that page.",
        default="",
    )
    rotations_a_day: int = _setting(
        "SASQUASH_ROTATIONS_A_DAY",
        number(1, 100),
        "More rotations of one account than this within 24 hours ask a person first. Revocations of its user "
        "delegation keys count, too.",
        default="2",
    )
    approval_hours: int = _setting(
        "SASQUASH_APPROVAL_HOURS",
        number(1, 24 * 30),
        "How long a plan may be approved, in hours. Then comes what `SASQUASH_AT_DEADLINE` says.",
        default="4",
    )
    at_deadline: AtDeadline = _setting(
        "SASQUASH_AT_DEADLINE",
        choice(AtDeadline),
        "What becomes of a plan that nobody decided on in time: `escalate` (the record is unresolved, and people are "
        "mailed again) or `revoke` (it is carried out, if arithmetic has proven it and no limit asks for a person).",
        default="escalate",
    )
    escalation_mailbox: str | None = _setting(
        "SASQUASH_ESCALATION_MAILBOX",
        optional(address),
        "Who is mailed, too, when nobody decided in time. Empty: those who were asked, and the security mailbox.",
        default="",
    )
    source_quota: int = _setting(
        "SASQUASH_SOURCE_QUOTA",
        number(1, 1_000_000),
        "Findings an hour from one publisher (the event's source) that each instance deals with at once. More are as "
        "durable, and dealt with from the queue, later.",
        default="600",
    )
    second_person: bool = _setting(
        "SASQUASH_SECOND_PERSON",
        switch,
        "Whether who reported a leak may not approve its plan (`on`). An order without a leak always takes two "
        "people.",
        default="on",
    )

    drill_account: str | None = _setting(
        "SASQUASH_DRILL_ACCOUNT",
        optional(account_name),
        "Name of a storage account that holds nothing, on which a leak is rehearsed each week. Empty: none is.",
        default="",
    )

    intake_senders: dict[str, SecretSetting] = _setting(
        "SASQUASH_INTAKE_SENDERS",
        senders,
        "Who may post signed reports to the intake: `name=secret`, separated by commas. A secret is as in Standard "
        "Webhooks (`whsec_` and 24 to 64 bytes in base64), or the id of a Key Vault secret that holds one. The name "
        "is the last part of the URL that the sender posts to. Empty: nobody.",
        default="",
    )
    intake_quota: int = _setting(
        "SASQUASH_INTAKE_QUOTA",
        number(1, 1_000_000),
        "Credentials an hour from one source that each instance of the intake publishes. More are answered with 429.",
        default="10000",
    )
    github_webhook_secret: SecretSetting | None = _setting(
        "SASQUASH_GITHUB_WEBHOOK_SECRET",
        secret,
        "The secret of the GitHub App's webhook, or the id of a Key Vault secret that holds it. Empty: GitHub's "
        "deliveries are refused.",
        default="",
    )
    github_app: str | None = _setting(
        "SASQUASH_GITHUB_APP",
        optional(word),
        "The GitHub App's client id, or its number. Empty: alerts of GitHub are neither read nor closed.",
        default="",
    )
    github_private_key: SecretSetting | None = _setting(
        "SASQUASH_GITHUB_PRIVATE_KEY",
        secret,
        "The GitHub App's private key as PEM (the whole in base64, or with `\\n` for its line breaks), or the id of "
        "a Key Vault secret that holds it.",
        default="",
    )
    github_api: str = _setting(
        "SASQUASH_GITHUB_API",
        https,
        "Where GitHub's REST API is: of GitHub Enterprise Server, `https://github.contoso.com/api/v3`.",
        default="https://api.github.com",
    )
    github_secret_types: tuple[str, ...] = _setting(
        "SASQUASH_GITHUB_SECRET_TYPES",
        listed(word),
        "Types of secret whose alerts are read, separated by commas; custom patterns have a type, too.",
        default="azure_sas_token,azure_storage_account_key",
    )
    azure_devops_organization: str | None = _setting(
        "SASQUASH_AZURE_DEVOPS_ORGANIZATION",
        optional(word),
        "The Azure DevOps organization whose alerts are read and closed. Empty: none.",
        default="",
    )
    azure_devops_password: SecretSetting | None = _setting(
        "SASQUASH_AZURE_DEVOPS_PASSWORD",
        secret,
        "The password (basic authentication) of Azure DevOps' service hook, or the id of a Key Vault secret that "
        "holds it. Empty: its deliveries are refused.",
        default="",
    )

    @property
    def cloud(self) -> AzureCloud:
        return CLOUDS[self.cloud_name]

    @property
    def rule_table(self) -> tuple[Rule, ...]:
        """The rules of mode `auto`, in order; the last one always applies."""
        return self.rules or default_rules(act_alone_hours=self.act_alone_hours)

    def decision_policy(self, actions: ActionSpecs) -> DecisionPolicy:
        """Return the part of the settings that decisions use, with the actions that they choose from."""
        return DecisionPolicy(
            mode=self.mode,
            tag_modes=self.tag_modes,
            rules=self.rule_table,
            rotations_a_day=self.rotations_a_day,
            approval_time=self.approval_time,
            at_deadline=self.at_deadline,
            tenant_id=self.tenant_id,
            actions=actions,
        )

    @property
    def approval_time(self) -> timedelta:
        return timedelta(hours=self.approval_hours)

    @property
    def own_accounts(self) -> frozenset[str]:
        """Names of the storage accounts that Sasquash itself lives in, which are never a target."""
        endpoints = (self.table_endpoint, self.queue_endpoint, self.blob_endpoint)
        hosts = (urlsplit(endpoint).hostname or "" for endpoint in endpoints)
        return frozenset(host.split(".")[0] for host in hosts)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Read and check every setting. Raises SettingsError, one line that names the first bad setting."""
        read = cls(**{attribute: read_one(environment, attribute) for attribute in declared()})
        for attribute in _NEEDED[read.incidents]:
            if not getattr(read, attribute):
                name = declared()[attribute].name
                raise SettingsError(
                    f"{name} is missing: SASQUASH_INCIDENTS={read.incidents} needs it (see docs/incidents.md)."
                )
        return read


def read_one(environment: Mapping[str, str], attribute: str) -> Any:
    """Read and check one setting, by the name of the field that holds it. Raises SettingsError."""
    setting = declared()[attribute]
    text = environment.get(setting.name, "").strip() or setting.default
    if text is None:
        raise SettingsError(f"{setting.name} is missing: set it (see docs/settings.md).")
    try:
        return setting.parse(text)
    except ValueError as error:
        raise SettingsError(f"{setting.name} is malformed: it {error} (see docs/settings.md).") from None


def is_switched_off(environment: Mapping[str, str], function: str) -> bool:
    """Whether the platform was told not to run a function of the app ("How to disable functions in Azure")."""
    names = (f"AzureWebJobs.{function}.Disabled", f"AzureWebJobs_{function}_Disabled")  # where a dot cannot be
    return any(environment.get(name, "").lower() in ("1", "true") for name in names)


def declared() -> dict[str, Setting]:
    """Every setting by the name of the field that holds it, in order."""
    return {item.name: item.metadata["setting"] for item in fields(Settings)}
