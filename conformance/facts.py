"""What is believed and was not tried; each with what it is based on, and how it is tried here."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from conformance import actions, deployed, logs
from conformance.deployed import Deployment
from conformance.place import Place

type OfAzure = Callable[[Place], Awaitable[str]]
type OfDeployment = Callable[[Place, Deployment], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Fact:
    """Something to be tried. `belief`: what the product counts on; `basis`: where that is from.

    Exactly one of the last two is set: `of_azure` needs no more than storage accounts, `of_deployment` all that azd
    deploys. What it returns was seen; ValueError and StillAlive say that it is otherwise.
    """

    name: str
    belief: str
    basis: str
    of_azure: OfAzure | None = None
    of_deployment: OfDeployment | None = None

    @property
    def how(self) -> str:
        """How it is tried, in one sentence."""
        check = self.of_azure or self.of_deployment
        return " ".join((check.__doc__ or "").split()) if check is not None else ""


FACTS = (
    Fact(
        "account key",
        "what a regenerated key had signed is refused everywhere within ten minutes",
        "Manage storage account access keys (2019)",
        of_azure=actions.account_key,
    ),
    Fact(
        "stored access policy",
        "a token dies with its policy within thirty seconds",
        "REST: Define a stored access policy",
        of_azure=actions.stored_policy,
    ),
    Fact(
        "user delegation keys",
        "tokens of user delegation die when the account's delegation keys are revoked",
        "REST: Revoke a user delegation SAS",
        of_azure=actions.delegation_keys,
    ),
    Fact(
        "lockdown: shared key",
        "no token that a key signs is accepted once shared keys are off",
        "Prevent Shared Key authorization",
        of_azure=actions.shared_key_off,
    ),
    Fact(
        "lockdown: network",
        "network rules refuse before a signature is looked at, and with AuthorizationFailure",
        "seen on emulators only",
        of_azure=actions.network_closed,
    ),
    Fact(
        "policy made anew",
        "a policy of the same id brings its tokens back to life",
        "REST: Create a service SAS",
        of_azure=actions.policy_made_anew,
    ),
    Fact(
        "policy without an end",
        "a token without an expiry lives for ever under such a policy",
        "one unofficial source says that Azure refuses it",
        of_azure=actions.policy_without_an_end,
    ),
    Fact(
        "hashes in storage logs",
        "they are the SHA-256 of the key's bytes and of the signature's decoded text",
        "Best practices for monitoring Azure Blob Storage",
        of_azure=logs.token_hash,
    ),
    Fact(
        "custom roles",
        "Azure takes the custom roles of infra/roles.json",
        "the operations of Microsoft.Storage",
        of_deployment=deployed.custom_roles,
    ),
    Fact(
        "sign-in of the platform",
        "it lets the webhook, the intake and health past, and nothing else",
        "excludedPaths of authsettingsV2, seen in two public repositories",
        of_deployment=deployed.sign_in,
    ),
    Fact(
        "deliveries that fail",
        "Event Grid is told when the function raises, and tries again",
        "the Event Grid extension answers 500",
        of_deployment=deployed.failed_delivery,
    ),
    Fact(
        "the whole way",
        "a token is refused seconds after its finding was published",
        "the local cloud",
        of_deployment=deployed.whole_way,
    ),
)

BY_HAND = (
    "createAlert with a managed identity: the product files no incident in Defender yet.",
    "the code that SharePoint refuses a second item of one finding with: it takes a site of yours.",
    "how long Exchange takes to let the identity send: scripts/grant-exchange.ps1 says how to try.",
)
"""What is not tried, and why."""
