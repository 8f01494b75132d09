"""All settings, and the only reader of the environment. A test compares docs/settings.md with this module."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any, Self
from urllib.parse import urlsplit

from shared.domain import sas_period as periods
from shared.domain.approval import AtDeadline
from shared.domain.azure_clouds import CLOUDS, AzureCloud, CloudName
from shared.domain.decision.action_spec import ActionSpecs
from shared.domain.decision.policy import DecisionPolicy, Mode
from shared.domain.decision.rule_parser import parse as parse_rules
from shared.domain.decision.rules import Rule, default_rules
from shared.domain.target import ActionKind
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
    management_group,
    number,
    opaque,
    optional,
    retention,
    rule_id,
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

    MAIL = "mail"
    SHAREPOINT = "sharepoint"
    DEFENDER = "defender"
    SENTINEL = "sentinel"
    WEBHOOK = "webhook"


_NEEDED = {
    IncidentSink.MAIL: (),
    IncidentSink.SHAREPOINT: ("incident_site", "incident_list"),
    IncidentSink.DEFENDER: (),
    IncidentSink.SENTINEL: ("sentinel_workspace",),
    IncidentSink.WEBHOOK: ("incident_webhook", "incident_webhook_secret"),
}

_OF_THE_COPY = ("history_endpoint", "history_rule", "history_workspace")


@dataclass(frozen=True, slots=True)
class Setting:
    """How a field of `Settings` is read. `default` is text as in the environment; None makes the setting required."""

    name: str
    parse: Callable[[str], Any]
    default: str | None
    meaning: str


# ruff: noqa: RUF009 -- `_setting` only describes a field: it computes nothing at import
def _setting(parse: Callable[[str], Any], meaning: str, default: str | None = None, *, name: str = "") -> Any:
    """Describe a setting. Its name is `SASQUASH_` and that of the field, unless it has another `name`."""
    return field(metadata={"setting": Setting(name, parse, default, meaning)})


def _optional(parse: Callable[[str], Any], meaning: str, *, name: str = "") -> Any:
    """Describe a setting that is None if it is empty."""
    return _setting(optional(parse), meaning, default="", name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The app's settings, validated. Created by `read` at start."""

    mode: Mode = _setting(
        choice(Mode),
        "What Sasquash does without a person: `observe` (nothing), `approve` (request approval for every action), "
        "`auto` (what the rule table allows). Start with a week of `observe`.",
    )
    subscriptions: tuple[str, ...] = _setting(
        listed(guid, least=1),
        "Ids of the monitored subscriptions, separated by commas.",
    )
    management_group: str | None = _optional(
        management_group,
        "Id of a management group (not its display name). The subscriptions below it are monitored, too, and those "
        "that join it later within an hour. Empty: only the subscriptions above.",
    )
    table_endpoint: str = _setting(
        https,
        "Table endpoint of Sasquash's own storage account.",
        name="SASQUASH_STORAGE__tableServiceUri",
    )
    queue_endpoint: str = _setting(
        https,
        "Queue endpoint of Sasquash's own storage account. The queue triggers use it, too.",
        name="SASQUASH_STORAGE__queueServiceUri",
    )
    blob_endpoint: str = _setting(
        https,
        "Blob endpoint of Sasquash's own storage account, where Event Grid stores dead letters.",
        name="SASQUASH_STORAGE__blobServiceUri",
    )
    host_accounts: tuple[str, ...] = _setting(
        listed(account_name),
        "Names of further storage accounts of this deployment, separated by commas: that of the intake's Functions "
        "host. Like Sasquash's own, they are never a target.",
        default="",
    )
    client_id: str | None = _optional(
        guid,
        "Client id of the app's user-assigned managed identity. Empty: the signed-in user of this machine "
        "(`az login`), for development.",
    )
    cloud_name: CloudName = _setting(
        choice(CloudName),
        "The Azure cloud: `public`, `usgovernment` or `china`.",
        default="public",
        name="SASQUASH_CLOUD",
    )
    topic_endpoint: str = _setting(
        https,
        "Endpoint of the Event Grid topic, to which every change of state is published.",
    )
    insights_connection: str = _setting(
        connection_string,
        "Connection string of the Application Insights resource for the trace of each leak, sent as the app's "
        "identity. The Functions host uses it, too. Empty: no traces.",
        default="",
        name="APPLICATIONINSIGHTS_CONNECTION_STRING",
    )
    tenant_id: str = _setting(
        guid,
        "Id of the Entra tenant whose users may call the app, and whose user delegation SAS are monitored.",
    )
    api_audiences: tuple[str, ...] = _setting(
        listed(audience),
        "Accepted audiences of access tokens, separated by commas: the app registration's client id, which tokens of "
        "version 2 have, and its id URI (`api://<client id>`), which tokens of version 1 may have. Empty: every call "
        "except health is refused.",
        default="",
    )
    console: str | None = _optional(
        https,
        "URL of the console, for links in mails: `https://<app>/api/desk`. Empty: mails have no links.",
        name="SASQUASH_DESK",
    )
    key_vaults: tuple[str, ...] = _setting(
        listed(vault),
        "Names of the key vaults for key distribution, separated by commas: the tag `sasquash-key-vault` names a "
        "secret in one of them that gets the new key. Empty: no key is distributed.",
        default="",
    )
    security_mailbox: str = _setting(
        address,
        "The security team's mailbox. It gets a copy of every mail, and the mails that are not for owners.",
    )
    mail_sender: str = _optional(
        address,
        "The mailbox that mails are sent from. Mail.Send is scoped to it. Empty: the security mailbox.",
    )
    mail_domains: tuple[str, ...] = _setting(
        listed(domain),
        "Allowed domains of owners' addresses, separated by commas. The addresses in tags are not trusted. Empty: "
        "the domain of the security mailbox.",
        default="",
    )
    owner_tags: tuple[str, ...] = _setting(
        listed(tag_name),
        "Names of the tags with owners' mail addresses, in order of preference.",
        default="sasquash-owner,owner",
    )
    owners_of_apps: bool = _setting(
        switch,
        "Whether to notify the owners of an app that has rights on the account, where no closer owner is found "
        "(`on`). Requires Graph's `Application.Read.All`.",
        default="off",
    )
    incidents: IncidentSink = _optional(
        choice(IncidentSink),
        "Where incidents are filed: `mail` (each state is mailed to the security mailbox, and nothing else is "
        "filed), `sharepoint` (a list), `defender` (the Defender portal), `sentinel` (a workspace), or `webhook` (a "
        "signed request to a URL). All but `mail` require further settings or rights (docs/incidents.md). Empty: "
        "`sharepoint` if an incident site is set, else `mail`.",
    )
    incident_site: str | None = _optional(
        opaque,
        "Id of the SharePoint site with the incident list (`host,site-guid,web-guid`).",
    )
    incident_list: str | None = _optional(
        opaque,
        "Id of the SharePoint list of incidents.",
    )
    sentinel_workspace: str | None = _optional(
        workspace,
        "ARM id of the Log Analytics workspace with Microsoft Sentinel in which incidents are filed.",
    )
    incident_webhook: str | None = _optional(
        https,
        "URL that incidents are sent to.",
    )
    incident_webhook_secret: SecretSetting | None = _setting(
        secret,
        "The secret that signs them, in the format of Standard Webhooks (`whsec_` and 24 to 64 bytes in base64), or "
        "the id of a Key Vault secret with it.",
        default="",
    )
    raw_events: bool = _setting(
        switch,
        "Whether events with raw credentials are accepted (`on`). Event Grid stores and dead-letters events, so the "
        "default is `off`.",
        default="off",
    )
    key_index: bool = _setting(
        switch,
        "Whether the keys of all monitored accounts are listed once a day (`on`), and their hashes kept, so that the "
        "account of a key that leaked without one is found. ARM records each listing in the activity log.",
        default="on",
    )
    tag_modes: tuple[Mode, ...] = _setting(
        listed(choice(Mode)),
        "Modes that the tag `sasquash-mode` of a storage account may set for it. Empty: the tag has no effect.",
        default="",
    )
    act_alone_hours: int = _setting(
        number(0, 24 * 365 * 100),
        "A read-only token of one resource is revoked without approval if it expires in more than this number of "
        "hours (rule `lives-long` of the default table; rules in `SASQUASH_RULES` have their own hours).",
        default="24",
    )
    rules: tuple[Rule, ...] = _setting(
        lambda text: parse_rules(text) if text else (),
        "The rule table of mode `auto`, as JSON (docs/rules.md). Empty: the default table on that page.",
        default="",
    )
    rotations_a_day: int = _setting(
        number(1, 100),
        "The number of key rotations of one account within 24 hours after which another one requires approval. "
        "Revocations of its user delegation keys count, too.",
        default="2",
    )
    sas_period: int = _setting(
        number(1, 3650),
        "The longest life of a SAS, in days, that the action `sas_expiration_block` sets. An account's own policy "
        "with a shorter period stays as short.",
        default="7",
    )
    sas_block_minutes: int = _setting(
        number(1, 24 * 60),
        "The time that Azure has to enforce a SAS expiration policy, in minutes. After that, the leak is decided on "
        "anew, by its key.",
        default="10",
    )
    approval_hours: int = _setting(
        number(1, 24 * 30),
        "The time to approve a plan, in hours. `SASQUASH_AT_DEADLINE` sets what happens then.",
        default="4",
    )
    at_deadline: AtDeadline = _setting(
        choice(AtDeadline),
        "What happens to a plan without a decision at its deadline: `escalate` (the record is unresolved, and people "
        "are notified again) or `revoke` (the plan is run, if signature verification proved the leak and no limit "
        "requires approval).",
        default="escalate",
    )
    escalation_mailbox: str | None = _optional(
        address,
        "The mailbox to notify, too, when a deadline has passed. Empty: the people who were asked, and the security "
        "mailbox.",
    )
    source_quota: int = _setting(
        number(1, 1_000_000),
        "Findings per hour from one publisher (the event's source) that each instance processes immediately. Further "
        "ones are just as durable, and are processed later, from the queue.",
        default="600",
    )
    finding_quota: int = _setting(
        number(1, 1_000_000),
        "Findings per hour from all publishers together that each instance processes immediately. Each monitored "
        "account that it knows has 60 per hour beside it, regardless of every other flood.",
        default="6000",
    )
    unattributed_quota: int = _setting(
        number(1, 1_000_000),
        "Of these, findings whose account the instance does not know: it has to find it in Azure.",
        default="600",
    )
    second_person: bool = _setting(
        switch,
        "Whether the plan of a proven leak requires the approval of a person other than its reporter (`on`). What is "
        "not proven always takes two people (docs/rules.md).",
        default="on",
    )

    retention_days: int = _setting(
        retention,
        "Days after which a record that has ended, with nothing open, is removed with its history: 30 to 4000, or 0 "
        "for never. A record whose leak can become valid again stays.",
        default="400",
    )
    history_endpoint: str | None = _optional(
        https,
        "Endpoint of the data collection rule that takes the copy of the records' histories. Empty: no copy, and "
        "every history is `unconfirmed`.",
    )
    history_rule: str | None = _optional(
        rule_id,
        "The immutable id of that rule (`dcr-…`).",
    )
    history_workspace: str | None = _optional(
        guid,
        "The id of the workspace that has the copy (a GUID).",
    )

    drill_account: str | None = _optional(
        account_name,
        "Name of an empty storage account for the weekly drill. Empty: no drills.",
    )

    intake_senders: dict[str, SecretSetting] = _setting(
        senders,
        "Senders of signed reports to the intake: `name=secret`, separated by commas. A secret has the format of "
        "Standard Webhooks (`whsec_` and 24 to 64 bytes in base64), or is the id of a Key Vault secret with one. The "
        "name is the last part of the URL that the sender uses. Empty: no senders.",
        default="",
    )
    intake_quota: int = _setting(
        number(1, 1_000_000),
        "Credentials per hour from one source that each instance of the intake publishes. Further reports get a 429.",
        default="10000",
    )
    github_webhook_secret: SecretSetting | None = _setting(
        secret,
        "The secret of the GitHub App's webhook, or the id of a Key Vault secret with it. Empty: deliveries of "
        "GitHub are refused.",
        default="",
    )
    github_app: str | None = _optional(
        word,
        "Client id or number of the GitHub App that reads alerts. Empty: none are read.",
    )
    github_private_key: SecretSetting | None = _setting(
        secret,
        "The private key of that App in PEM (all of it in base64, or with `\\n` for its line breaks), or the id of a "
        "Key Vault secret with it.",
        default="",
    )
    github_closing_app: str | None = _optional(
        word,
        "Client id or number of the GitHub App that closes alerts of revoked leaks, another one than that which "
        "reads. Empty: alerts of GitHub are left open.",
    )
    github_closing_private_key: SecretSetting | None = _setting(
        secret,
        "The private key of that App, or the id of a Key Vault secret with it.",
        default="",
    )
    github_api: str = _setting(
        https,
        "URL of GitHub's REST API. For GitHub Enterprise Server: `https://github.contoso.com/api/v3`.",
        default="https://api.github.com",
    )
    github_secret_types: tuple[str, ...] = _setting(
        listed(word),
        "Secret types whose alerts are read, separated by commas. Custom patterns have a type, too.",
        default="azure_sas_token,azure_storage_account_key",
    )
    azure_devops_organization: str | None = _optional(
        word,
        "The Azure DevOps organization whose alerts are read and closed. Empty: none.",
    )
    azure_devops_password: SecretSetting | None = _setting(
        secret,
        "The password (basic authentication) of the Azure DevOps service hook, or the id of a Key Vault secret with "
        "it. Empty: its deliveries are refused.",
        default="",
    )

    @property
    def cloud(self) -> AzureCloud:
        return CLOUDS[self.cloud_name]

    @property
    def rule_table(self) -> tuple[Rule, ...]:
        """The rules of mode `auto`, in order. The last one always applies."""
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
            limits={ActionKind.SAS_EXPIRATION_BLOCK: periods.text_of(timedelta(days=self.sas_period))},
        )

    @property
    def may_act(self) -> bool:
        """Whether anything may be changed: by the mode, or by the tag of an account."""
        return any(mode is not Mode.OBSERVE for mode in (self.mode, *self.tag_modes))

    @property
    def sas_block_time(self) -> timedelta:
        return timedelta(minutes=self.sas_block_minutes)

    @property
    def approval_time(self) -> timedelta:
        return timedelta(hours=self.approval_hours)

    @property
    def own_accounts(self) -> frozenset[str]:
        """Names of Sasquash's own storage accounts, which are never a target."""
        endpoints = (self.table_endpoint, self.queue_endpoint, self.blob_endpoint)
        hosts = (urlsplit(endpoint).hostname or "" for endpoint in endpoints)
        return frozenset(host.split(".")[0] for host in hosts) | frozenset(self.host_accounts)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Read and validate every setting. Raises SettingsError, one line that names the first invalid setting."""
        read = cls(**_completed({attribute: read_one(environment, attribute) for attribute in declared()}))
        for attribute in _NEEDED[read.incidents]:
            if not getattr(read, attribute):
                name = declared()[attribute].name
                raise SettingsError(
                    f"{name} is missing: SASQUASH_INCIDENTS={read.incidents} requires it (see docs/incidents.md)."
                )
        absent = [declared()[attribute].name for attribute in _OF_THE_COPY if not getattr(read, attribute)]
        if absent and len(absent) < len(_OF_THE_COPY):
            raise SettingsError(
                f"{absent[0]} is missing: the copy of the history requires it (see docs/settings.md)."
            )
        return read


def _completed(values: dict[str, Any]) -> dict[str, Any]:
    """Return `values` with those that others imply where they are empty."""
    mailbox: str = values["security_mailbox"]
    implied = {
        "mail_sender": mailbox,
        "mail_domains": (mailbox.rpartition("@")[2].lower(),),
        "incidents": IncidentSink.SHAREPOINT if values["incident_site"] else IncidentSink.MAIL,
    }
    return values | {name: value for name, value in implied.items() if not values[name]}


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
    """Whether a function of the app is disabled ("How to disable functions in Azure")."""
    names = (f"AzureWebJobs.{function}.Disabled", f"AzureWebJobs_{function}_Disabled")  # where a dot is not allowed
    return any(environment.get(name, "").lower() in ("1", "true") for name in names)


def declared() -> dict[str, Setting]:
    """Every setting by the name of its field, in order."""
    settings = {item.name: item.metadata["setting"] for item in fields(Settings)}
    return {
        attribute: replace(setting, name=setting.name or f"SASQUASH_{attribute.upper()}")
        for attribute, setting in settings.items()
    }
