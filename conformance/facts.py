"""Assumptions about Azure that were not tested against Azure: what they are based on, and their tests."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from conformance import actions, deployed, logs
from conformance.deployed import Deployment
from conformance.place import Place

type OfAzure = Callable[[Place], Awaitable[str]]
type OfDeployment = Callable[[Place, Deployment], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Fact:
    """An assumption with its test. `assumption`: what the product relies on; `basis`: its source.

    Exactly one of the last two is set: `of_azure` needs just storage accounts, `of_deployment` a whole deployment.
    The test returns what it observed; ValueError and StillAccepted say that the assumption is wrong.
    """

    name: str
    assumption: str
    basis: str
    of_azure: OfAzure | None = None
    of_deployment: OfDeployment | None = None

    @property
    def how(self) -> str:
        """How it is tested, in one sentence."""
        check = self.of_azure or self.of_deployment
        return " ".join((check.__doc__ or "").split()) if check is not None else ""


FACTS = (
    Fact(
        "account key",
        "a SAS is refused everywhere within ten minutes after its key was regenerated",
        "Manage storage account access keys (2019)",
        of_azure=actions.account_key,
    ),
    Fact(
        "stored access policy",
        "a SAS is refused within thirty seconds after its stored access policy was deleted or expired",
        "REST: Define a stored access policy",
        of_azure=actions.stored_policy,
    ),
    Fact(
        "user delegation keys",
        "user delegation SAS are refused after the delegation keys of the account were revoked",
        "REST: Revoke a user delegation SAS",
        of_azure=actions.delegation_keys,
    ),
    Fact(
        "lockdown: shared key",
        "no SAS signed by an account key is accepted while shared key access is disabled",
        "Prevent Shared Key authorization",
        of_azure=actions.shared_key_off,
    ),
    Fact(
        "lockdown: network",
        "network rules are checked before the signature, and refuse with AuthorizationFailure",
        "observed with emulators only",
        of_azure=actions.network_closed,
    ),
    Fact(
        "policy recreated",
        "a stored access policy with the same id re-enables its SAS",
        "REST: Create a service SAS",
        of_azure=actions.policy_recreated,
    ),
    Fact(
        "policy without expiry",
        "a SAS without an expiry never expires with such a policy",
        "one unofficial source says that Azure refuses it",
        of_azure=actions.policy_without_expiry,
    ),
    Fact(
        "hashes in storage logs",
        "they are the SHA-256 of the bytes of the key, and of the decoded text of the signature",
        "Best practices for monitoring Azure Blob Storage",
        of_azure=logs.token_hash,
    ),
    Fact(
        "custom roles",
        "Azure accepts the custom roles of infra/roles.json",
        "the operations of Microsoft.Storage",
        of_deployment=deployed.custom_roles,
    ),
    Fact(
        "sign-in of the platform",
        "it lets only the webhook, the intake and health pass",
        "excludedPaths of authsettingsV2, found in two public repositories",
        of_deployment=deployed.sign_in,
    ),
    Fact(
        "failed deliveries",
        "Event Grid retries when the function raises an exception",
        "the Event Grid extension answers 500",
        of_deployment=deployed.failed_delivery,
    ),
    Fact(
        "whole revocation",
        "a SAS is refused seconds after its finding was published",
        "the local cloud",
        of_deployment=deployed.whole_revocation,
    ),
)

BY_HAND = (
    "createAlert with a managed identity: needs a tenant with Microsoft Defender.",
    "the error code for a second SharePoint item of one finding: needs a SharePoint site.",
    "how long Exchange takes until the identity may send: see scripts/grant-exchange.ps1.",
)
"""What is not tested, and why."""
