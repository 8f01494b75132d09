"""Recommendations after a revocation: what to issue instead, and how to harden the account."""

from collections.abc import Iterator

from shared.domain.revocation import Revocation
from shared.domain.target import ActionKind
from shared.domain.text import Code, RichText
from shared.followup.briefing.commands import issue_instead
from shared.sas import ResourceKind

_MOST = 3  # commands


def instead(revocation: Revocation) -> tuple[RichText, ...]:
    """Return what to issue instead: read-only and short-lived, for the blobs that were read, or the leaked one."""
    account, execution = revocation.account, revocation.execution
    if account is None or execution is None or not execution.revokes:
        return ()
    commands = (issue_instead(account.id, container, blob) for container, blob in _blobs(revocation))
    shown = [command for command in commands if command is not None][:_MOST]
    return tuple(
        RichText.of("For clients that still need to read it, issue a token like this instead: ", command)
        for command in shown
    )


def hardening(revocation: Revocation) -> tuple[RichText, ...]:
    """Return how to keep the account's keys from signing long-lived tokens, with the impact."""
    account, execution = revocation.account, revocation.execution
    if (
        account is None
        or not account.shared_key_access
        or execution is None
        or execution.action is not ActionKind.ACCOUNT_KEY
    ):
        return ()
    return (
        RichText.of(
            "Prevent long-lived tokens. ",
            Code("az storage account update --sas-expiration-period 7.00:00:00"),
            " reports tokens with a longer lifetime, but does not block them. ",
            Code("az storage account update --allow-shared-key-access false"),
            " blocks every token that a key signs: first migrate all consumers of the keys, including the storage of "
            "function apps and SMB mounts.",
        ),
    )


def _blobs(revocation: Revocation) -> Iterator[tuple[str, str]]:
    """Yield container and name of the blobs that were only read; of the leaked blob if usage is unknown."""
    usage, credential = revocation.usage, revocation.finding.credential
    if usage is not None and usage.objects:
        for touched in usage.objects:
            parts = touched.name.split("/", 3)  # "/account/container/blob"
            if len(parts) == 4 and parts[3] and not touched.written:
                yield parts[2], parts[3]
    elif credential is not None and credential.resource_kind is ResourceKind.BLOB:
        yield credential.container or "", credential.resource_path or ""
