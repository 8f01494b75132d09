"""What a plan for the SAS expiration policy says and binds to, what it does not stop, and its texts. Pure.

Microsoft Learn: "Configure an expiration policy for shared access signatures": it applies neither to a service SAS
with a stored access policy nor to a user delegation SAS at the HDFS endpoint, and setting it fails while
`keyCreationTime` is null for a key.
"""

import hashlib
from datetime import timedelta
from types import MappingProxyType
from typing import override

from shared.actions.az_cli import CliAccount
from shared.domain import sas_period
from shared.domain.account import AccountFacts, SasPolicy
from shared.domain.decision.action_spec import NOTIFY, ActionSpec, StateText, Tone
from shared.domain.decision.attribution import Verdict
from shared.domain.decision.snapshot import Snapshot
from shared.domain.execution import Execution, Plan
from shared.domain.logged_sas import LoggedSas
from shared.domain.revocation import Revocation
from shared.domain.target import KEY_NAMES, ActionKind, InvalidTarget
from shared.domain.text import Code, Line, RichText
from shared.sas import Credential, Kind, credentials_of_logged_url

_NOT_REVOKED = "It revokes nothing: the leaked credential works again as soon as the policy is changed."
_NOT_COVERED = {
    Kind.ACCOUNT_KEY: "an account key is no SAS",
    Kind.POLICY_SAS: "it does not apply to a service SAS with a stored access policy",
    Kind.USER_DELEGATION_SAS: "it does not apply to a user delegation SAS at the HDFS endpoint",
}
_STATES = MappingProxyType(
    {
        ("contained", None): StateText(
            "SAS policy set, verification in progress",
            Tone.PENDING,
            "The SAS expiration policy of the account was set to keep the {what} out. Verification is in progress: "
            "Azure does not document how soon it enforces the policy.{others}",
        ),
        ("contained", "in_effect"): StateText(
            "blocked, not revoked",
            Tone.PENDING,
            "The {what} is blocked by the account's SAS expiration policy, verified with tokens of our own. That "
            "revokes nothing: have its key regenerated at a time that you choose.{others}",
        ),
        ("closed", None): StateText(
            "closed", Tone.DONE, "The case of the {what} is closed: the SAS expiration policy was put back."
        ),
        ("failed", "still_alive"): StateText(
            "FAILED, not blocked",
            Tone.LIVE,
            "The SAS expiration policy that should keep the {what} out is NOT IN EFFECT. Stop it by hand now.",
        ),
    }
)


class SasExpirationBlockSpec(ActionSpec):
    """The texts and rules of the SAS expiration policy. A target is its period: "7.00:00:00"."""

    kind = ActionKind.SAS_EXPIRATION_BLOCK
    state_texts = _STATES
    counts_sas = True
    undo_operation = "Microsoft.Storage/storageAccounts/write"
    others_text = "The SAS expiration policy was set to {target}"
    undone_text = "The SAS expiration policy was changed back"
    standing_text = (
        "The account's SAS expiration policy stays as Sasquash set it until somebody undoes that. Keep it in your "
        "templates, or the next deployment undoes it."
    )
    used_text = "a SAS that has no start or is valid for longer than {target}"
    still_accepted_text = (
        "Regenerate {key}. Check in the activity log whether somebody, a template or an Azure policy has changed the "
        "SAS expiration policy of the account."
    )
    done_text = "The SAS expiration policy of {account} was set to Block beyond {target}."

    def check_target(self, target: str) -> None:
        """Return for a period. Raises InvalidTarget."""
        period = sas_period.parse(target)
        if period is None or not timedelta(0) < period <= timedelta(days=3650):
            raise InvalidTarget("the target of sas_expiration_block is a period, as in 7.00:00:00 for 7 days")

    @override
    def settled_target(self, target: str, account: AccountFacts, *, limit: str | None) -> str:
        """Return the shortest of the periods: the one that was asked for, the setting's, and the present one."""
        present = account.sas_policy.period if account.sas_policy is not None else None
        wanted = (period_of(target), sas_period.parse(limit), present)
        return sas_period.text_of(min(period for period in wanted if period))

    @override
    def obstacle(self, account: AccountFacts, target: str, credential: Credential | None) -> str:
        """Return why Azure would not set the policy, or why it would not refuse `credential` for good."""
        missing = [name for name in KEY_NAMES if name not in account.keys_created]
        if missing:
            return (
                f"Azure sets a SAS expiration policy only on an account whose keys have a creation time. "
                f"{' and '.join(missing)} of {account.name} has none: regenerate it once."
            )
        if credential is None:
            return ""
        if credential.kind in _NOT_COVERED:
            return f"A SAS expiration policy does not stop the leak: {_NOT_COVERED[credential.kind]}."
        if not _violates(credential, target):
            return (
                f"A SAS expiration policy does not stop the leak: it has a start, and is valid for no longer than "
                f"{self.title(target)}."
            )
        return ""

    @override
    def doubt(self, snapshot: Snapshot, target: str) -> str:
        """Return that the impact is unknown, where the logs don't show which SAS are in use."""
        return "" if snapshot.sas_in_use is not None else "it is unknown which SAS in use would stop working"

    def version(self, snapshot: Snapshot, target: str) -> str:  # noqa: ARG002 -- the policy is replaced as a whole
        """Return the SHA-256 (hex) of the account's present policy."""
        policy = snapshot.account.sas_policy
        said = f"{policy.period}|{policy.blocks}|{policy.text}" if policy is not None else "none"
        return hashlib.sha256(said.encode()).hexdigest()

    def title(self, target: str) -> str:
        """Return the period: "7 days"."""
        return sas_period.spoken(period_of(target))

    def impact(self, account: AccountFacts, target: str) -> tuple[str, ...]:
        """Return who is kept out, and who is not."""
        return (
            f"Every account SAS and service SAS of {account.name} that has no start (st) or is valid for longer than "
            f"{self.title(target)}, on all services: those in use, and those that apps sign from now on.",
            f"User delegation SAS of {account.name} without a start, or with a longer life, too, except at the HDFS "
            "endpoint.",
            "It does not stop Shared Key requests and connection strings, nor a service SAS with a stored access "
            "policy, nor access with Entra ID.",
            _NOT_REVOKED,
        )

    @override
    def impact_read(self, snapshot: Snapshot, target: str) -> tuple[str, ...]:
        """Return how many SAS in use stop working, by the storage logs."""
        use = snapshot.sas_in_use
        if use is None:
            return ("Impact unknown: the storage logs do not show which SAS of the account are in use.",)
        credentials = [found for token in use.tokens if (found := _credential(token)) is not None]
        stopped = [one for one in credentials if one.kind not in _NOT_COVERED and _violates(one, target)]
        without = sum(not dict(one.parameters).get("st") for one in stopped)
        more = " There are more than one query names." if use.is_cut else ""
        unread = len(use.tokens) - len(credentials)
        unreadable = f" {unread} more can't be read from the logs." if unread else ""
        unnamed = f" {use.unidentified} requests name no SAS." if use.unidentified else ""
        return (
            f"By the storage logs, {len(stopped)} of {len(credentials)} SAS in use stop: {without} without a start, "
            f"{len(stopped) - without} that are valid for too long.{more}{unreadable}{unnamed}",
        )

    def steps(self, account: AccountFacts, target: str) -> tuple[str, ...]:
        """Return the steps, first what makes it possible to undo the change."""
        return (
            f"Record the present SAS expiration policy of {account.name}, so that the change can be undone.",
            f"Set the SAS expiration policy of {account.name} to {self.title(target)} and Block.",
            "Verify with tokens of our own: one that violates it is refused, one that complies and a Shared Key "
            "request are accepted.",
            NOTIFY,
            "Have the key that signed the leak regenerated at a time that you choose. Until then, check daily that "
            "the policy is still there.",
        )

    @override
    def ends(self, plan: Plan, verdict: Verdict, own_plan: Plan | None) -> bool:
        """Return False: it revokes nothing."""
        return False

    @override
    def recovery(self, revocation: Revocation, execution: Execution) -> tuple[Line, ...]:
        """Return how to go on: the key, the clients, the templates, and how to undo it."""
        if revocation.lockdown is not None and revocation.lockdown.undone_at is not None:
            return ("The policy was put back. Regenerate the key that signed the leak: nothing else stops it.",)
        period, account = execution.target, revocation.account_name or "the account"
        bicep = f"sasPolicy: {{ expirationAction: 'Block', sasExpirationPeriod: '{period}' }}"
        terraform = f'sas_policy {{ expiration_action = "Block", expiration_period = "{period}" }}'
        return (
            _key_order(account, revocation.key_name),
            f"Clients whose SAS stopped need one with a start and a life of at most {self.title(period)}, or better: "
            "move them to Entra ID or to a user delegation SAS.",
            RichText.of("To keep the policy in a Bicep template, under properties: ", Code(bicep), "."),
            RichText.of("To keep it in Terraform, in azurerm_storage_account: ", Code(terraform), "."),
            RichText.of("To undo it: ", Code(f"POST /api/revocations/{revocation.fingerprint}/undo-lockdown"), "."),
        )

    def by_hand(self, account_id: str | None, target: str | None) -> Code | None:
        """Return the command that sets the policy."""
        account = CliAccount.of(account_id)
        period = sas_period.parse(target)
        if account is None or period is None:
            return None
        wanted = sas_period.text_of(period)
        return Code(
            f"az storage account update {account.in_group('--name')} --sas-expiration-period {wanted} "
            "--sas-expiration-action Block"
        )


def _key_order(account: str, key_name: str | None) -> Line:
    """Return the step that is left: the key, as an order that people give when it suits them."""
    key = key_name or "key1"
    order = f'{{"account": "{account}", "action": "account_key", "target": "{key}", "reason": "…"}}'
    what = "the key that signed the leak" if key_name is None else f"{key_name}, which signed the leak"
    return RichText.of(
        f"Regenerate {what}, at a time that suits its clients. The order's plan says who they are: ",
        Code("POST /api/revocations"),
        " with ",
        Code(order),
        ".",
    )


def period_of(target: str) -> timedelta:
    """Return the period that a checked target says."""
    period = sas_period.parse(target)
    if period is None:
        raise ValueError("the target is a period")
    return period


def _violates(credential: Credential, target: str) -> bool:
    return SasPolicy(period_of(target), blocks=True).refuses(dict(credential.parameters))


def _credential(token: LoggedSas) -> Credential | None:
    """Return the likeliest reading of a logged SAS, None where its lines have none."""
    readings = (
        credential
        for url in token.urls
        for credential in credentials_of_logged_url(
            url, account=token.account, signature_sha256=token.signature_sha256
        )
    )
    return next(readings, None)
