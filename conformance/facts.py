"""Beliefs about Azure that were not tested against Azure: a row each, with its source, its test and what follows."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from conformance import accounts, actions, deployed, logs, signed_in
from conformance.deployed import Deployment
from conformance.place import Place

type OfAzure = Callable[[Place], Awaitable[str]]
type OfDeployment = Callable[[Place, Deployment], Awaitable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A belief. `assumption`: what the product or a stand-in relies on; `basis`: its source; `change`: what to change
    where it is wrong.

    Exactly one of the last three is set: `of_azure` needs just storage accounts, `of_deployment` a whole deployment,
    `by_hand` says how a person tests it. A test returns what it observed; ValueError and StillAccepted say that the
    belief is wrong.
    """

    name: str
    assumption: str
    basis: str
    change: str
    of_azure: OfAzure | None = None
    of_deployment: OfDeployment | None = None
    by_hand: str = ""

    @property
    def how(self) -> str:
        """How it is tested, in one sentence."""
        check = self.of_azure or self.of_deployment
        return " ".join((check.__doc__ or "").split()) if check is not None else self.by_hand


FACTS = (
    Fact(
        name="account key",
        assumption="a SAS is refused everywhere within ten minutes after its key was regenerated",
        basis="Manage storage account access keys (2019)",
        change="design decision 5, and how long shared/actions/verification.py waits",
        of_azure=actions.account_key,
    ),
    Fact(
        name="stored access policy",
        assumption="a SAS is refused within thirty seconds after its stored access policy was deleted or expired",
        basis="REST: Define a stored access policy",
        change="how long shared/actions/verification.py waits for a policy",
        of_azure=actions.stored_policy,
    ),
    Fact(
        name="user delegation keys",
        assumption="user delegation SAS are refused after the delegation keys of the account were revoked",
        basis="REST: Revoke a user delegation SAS",
        change="shared/actions/delegation_key.py",
        of_azure=actions.delegation_keys,
    ),
    Fact(
        name="lockdown: shared key",
        assumption="no SAS signed by an account key is accepted while shared key access is disabled",
        basis="Prevent Shared Key authorization",
        change="shared/actions/lockdown.py",
        of_azure=actions.shared_key_off,
    ),
    Fact(
        name="lockdown: network",
        assumption="network rules are checked before the signature, and refuse with AuthorizationFailure",
        basis="observed with emulators only",
        change="local/storage/access.py, and how shared/actions/verification.py reads the code",
        of_azure=actions.network_closed,
    ),
    Fact(
        name="challenge of a closed account",
        assumption="the storage hosts of an account without public access send no bearer challenge",
        basis="no source: local/storage answers AuthorizationFailure without one",
        change="local/storage/errors.py, and the daily check's `reach`",
        of_azure=accounts.challenge_of_a_closed_account,
    ),
    Fact(
        name="policy recreated",
        assumption="a stored access policy with the same id re-enables its SAS",
        basis="REST: Create a service SAS",
        change="design decision 10: tombstones would not be needed",
        of_azure=actions.policy_recreated,
    ),
    Fact(
        name="policy without expiry",
        assumption="a SAS without an expiry never expires with such a policy",
        basis="one unofficial source says that Azure refuses it",
        change="shared/domain/decision/attribution.py, and local/storage",
        of_azure=actions.policy_without_expiry,
    ),
    Fact(
        name="key creation time",
        assumption="the account's keyCreationTime changes with listKeys, and does not lag behind",
        basis="azure-rest-api-specs, storage: keyCreationTime; its lag is documented nowhere",
        change="docs/decisions/0015: which of the two a successor may read",
        of_azure=accounts.key_creation_time,
    ),
    Fact(
        name="SAS expiration policy",
        assumption="an account whose policy blocks refuses a SAS without a start as AuthenticationFailed",
        basis="azure-docs, sas-expiration-policy; AzureStorageExplorer#8845 for the text of the detail",
        change="which refusals shared/actions/verification.py takes as undecided",
        of_azure=accounts.sas_expiration_policy,
    ),
    Fact(
        name="SAS expiration policy: time and Shared Key",
        assumption="Block is enforced within ten minutes; then a SAS with a start and a short life, and a Shared Key "
        "request, are still accepted",
        basis="azure-docs, sas-expiration-policy; no source says how long it takes",
        change="SASQUASH_SAS_BLOCK_MINUTES, and whether a default rule may use it",
        by_hand="Order sas_expiration_block on a test account, and read the evidence of its verification.",
    ),
    Fact(
        name="SAS expiration policy: removal",
        assumption="a PATCH without sasPolicy keeps it, and no PATCH removes it",
        basis="terraform-provider-azurerm, storage_account_resource.go; no document says whether null removes it",
        change="shared/actions/sas_expiration_policy.py: what undoing does where there was no policy",
        by_hand="PATCH an account that has a policy with sasPolicy null, and read it.",
    ),
    Fact(
        name="SAS expiration policy: keys without a time",
        assumption="setting it fails while keyCreationTime is null for a key",
        basis="azure-docs, sas-expiration-policy; the error code is in no document",
        change="local/arm/sas_policy.py",
        by_hand="Set a policy on an account of before 2021 whose keys were never regenerated.",
    ),
    Fact(
        name="activity log of a container",
        assumption="a query of the activity log by the account's id returns the events of its containers",
        basis="REST: Activity Logs - List; whether resourceUri matches below it is not documented",
        change="the query of shared/followup/investigation/residual_exposure.py",
        of_azure=accounts.container_activity,
    ),
    Fact(
        name="activity log of a rotation",
        assumption="an event of it has the request, which names the key, and its success is within two minutes of "
        "the key's creation time",
        basis="Azure Activity Log event schema: requestbody, which need not be there; Alert on privileged Azure role "
        "assignments reads it of the start",
        change="shared/followup/investigation/changed_by.py: without it, only times distinguish two rotations",
        of_azure=accounts.rotation_activity,
    ),
    Fact(
        name="log of access policies",
        assumption="a line SetContainerACL has the container in its URI, and the key in AuthenticationHash",
        basis="Storage Analytics logged operations and status messages; StorageBlobLogs; REST: Set Container ACL",
        change="policy_writes in shared/cloud/log_queries.py: nobody would be found",
        of_azure=logs.policy_write,
    ),
    Fact(
        name="log of other policies",
        assumption="the operations of queues, tables and shares are SetQueueACL, SetTableACL and SetShareACL",
        basis="Storage Analytics logged operations and status messages; Understand Azure Files billing (SetShareACL)",
        change="policy_writes in shared/cloud/log_queries.py",
        by_hand="Log the writes of an account, set the policies of each, and read OperationName and Uri.",
    ),
    Fact(
        name="hashes in storage logs",
        assumption="they are the SHA-256 of the bytes of the key, and of the decoded text of the signature",
        basis="Best practices for monitoring Azure Blob Storage",
        change="shared/cloud/log_queries.py: mails and incidents would find no use",
        of_azure=logs.token_hash,
    ),
    Fact(
        name="logs of a subscription",
        assumption="POST /v1/subscriptions/{id}/query has the storage logs of all its accounts, by the roles of the "
        "identity there",
        basis="Manage access to Log Analytics workspaces: resource-context, for a resource, resource group, or "
        "subscription; Querying logs for Azure resources shows a resource only",
        change="shared/watch/monitored.py: query each account of the inventory",
        by_hand="With the role Sasquash Usage on a subscription, query StorageBlobLogs there and on one account.",
    ),
    Fact(
        name="logs of a user delegation SAS",
        assumption="its lines have an AuthenticationHash with SasSignature(…), or the AuthenticationType SAS",
        basis="no source: the documented types are OAuth, Kerberos, SAS Key, Account Key and Anonymous",
        change="sas_in_use in shared/cloud/log_queries.py: they would be missing from the list",
        by_hand="Log the reads of an account, use a user delegation SAS, and read both columns.",
    ),
    Fact(
        name="addresses in storage logs",
        assumption="CallerIpAddress has a port, also that of an IPv6 address",
        basis="StorageBlobLogs: the IP address of the requester, including the port number; no IPv6 sample",
        change="sas_in_use in shared/cloud/log_queries.py, which strips it",
        by_hand="Log the reads of an account, read it over IPv6, and read CallerIpAddress.",
    ),
    Fact(
        name="locations in Azure DevOps",
        assumption="an alert about a secret has physicalLocations with the path, the lines and the commitHash, and "
        "the app's identity reads the file there with Read on the repository",
        basis="MicrosoftDocs/vsts-rest-api-specs: advancedSecurity 7.2 (PhysicalLocation; no sample of one), git 7.1 "
        "(Items_Get)",
        change="shared/sources/azure_devops_code.py: bare keys would stay without their account",
        by_hand="Commit a bare key beside its account's name, and read the record of its alert.",
    ),
    Fact(
        name="discussions by an App",
        assumption="a token of an installation with discussions: read gets a discussion by GraphQL, and the URLs of "
        "its locations have the databaseId of a comment",
        basis="docs.github.com: Using the GraphQL API for Discussions (available for GitHub Apps); "
        "rest-api-description: secret-scanning-location-discussion-comment (example)",
        change="shared/sources/github_discussions.py: keys in discussions would stay without their account",
        by_hand="Post a bare key with its account's name as a comment of a discussion, and read the record.",
    ),
    Fact(
        name="custom roles",
        assumption="Azure accepts the custom roles of infra/roles.json",
        basis="the operations of Microsoft.Storage",
        change="infra/roles.json",
        of_deployment=deployed.custom_roles,
    ),
    Fact(
        name="sign-in of the platform",
        assumption="it lets only the webhook, the intake, the console's files and health pass",
        basis="excludedPaths of authsettingsV2, found in two public repositories",
        change="excludedPaths of infra/modules/app.bicep",
        of_deployment=deployed.sign_in,
    ),
    Fact(
        name="intake apart",
        assumption="the host of a separate intake starts by its identity's rights on an account of its own",
        basis="Azure/azure-functions-host: BlobStorageSecretsRepository, DiagnosticEventTableStorageRepository",
        change="the roles of infra/modules/intake-storage.bicep",
        of_deployment=deployed.intake_apart,
    ),
    Fact(
        name="alerts of the intake",
        assumption="a host that does not start fails the availability test, whose results the component takes in "
        "although it accepts only Entra ID, and is counted by Http5xx",
        basis="Microsoft Entra authentication for Application Insights (unsupported scenarios); supported metrics "
        "for Microsoft.Web/sites",
        change="infra/modules/alerts.bicep and decision 37",
        by_hand="Remove Storage Blob Data Owner from the intake's identity, restart it, and wait for both alerts.",
    ),
    Fact(
        name="list of incidents",
        assumption="Microsoft Graph PowerShell creates the list, and lets the identity write to the site, for a "
        "SharePoint administrator",
        basis="Graph v1.0: list-create, site-post-permissions",
        change="scripts/create-incident-list.ps1 and local/graph/sites.py",
        by_hand="Run scripts/create-incident-list.ps1 twice; the second run says that everything is there.",
    ),
    Fact(
        name="rights of the operator",
        assumption="a subscription lists the permissions of the caller, as a resource group does",
        basis="Azure Resource Manager: Permissions - List For Resource Group, and its older guide to authorization, "
        "which asks a subscription",
        change="scripts/hooks/preprovision.sh and .ps1",
        by_hand="Run azd provision --preview as a Contributor: the hook names the right to assign roles.",
    ),
    Fact(
        name="token command",
        assumption="the printed command gets a person's token of version 2 for the registration (with scp), "
        "and the API accepts it",
        basis="entra-docs, access-token-claims-reference; Azure/azure-cli#15056",
        change="scripts/create-registration.sh, and openIdIssuer of infra/modules/app.bicep",
        of_deployment=signed_in.token_command,
    ),
    Fact(
        name="chunked requests",
        assumption="the front end passes a request without Content-Length on as it is",
        basis="azure-functions-host 4.1037, tried; azure-functions-powershell-worker#476",
        change="nothing in the product, which asks for a length; the words of docs/sources.md",
        of_deployment=deployed.chunked_request,
    ),
    Fact(
        name="failed deliveries",
        assumption="Event Grid retries when the function raises an exception",
        basis="the Event Grid extension answers 500",
        change="design decision 7",
        of_deployment=deployed.failed_delivery,
    ),
    Fact(
        name="revocation: SAS of a key",
        assumption="a SAS is refused seconds after its finding was published",
        basis="the local cloud",
        change="the record says where the time went",
        of_deployment=deployed.whole_revocation,
    ),
    Fact(
        name="revocation: account key",
        assumption="the same of a SAS whose key was published",
        basis="the local cloud",
        change="the record says where the time went",
        of_deployment=deployed.revocation_of_a_key,
    ),
    Fact(
        name="revocation: SAS of a policy",
        assumption="the same of a SAS of a stored access policy, and its key stays",
        basis="the local cloud",
        change="shared/actions/stored_policy.py",
        of_deployment=deployed.revocation_of_a_policy,
    ),
    Fact(
        name="revocation: user delegation SAS",
        assumption="the same of a user delegation SAS that a responder reports by the API",
        basis="the local cloud",
        change="shared/actions/delegation_key.py",
        of_deployment=signed_in.user_delegation,
    ),
    Fact(
        name="delivery into a private network",
        assumption="Event Grid delivers to a queue of an account with defaultAction Deny that trusts Azure services",
        basis="Storage queue as an event handler for Azure Event Grid events; Azure Storage: trusted services",
        change="infra/modules/storage.bicep and topic.bicep, and design decision 38",
        by_hand="Deploy with SASQUASH_PRIVATE_NETWORK, and publish a finding: it is revoked.",
    ),
    Fact(
        name="dead letters of a private account",
        assumption="Event Grid writes dead letters to such an account",
        basis="Azure Storage: trusted access based on a managed identity",
        change="infra/modules/storage.bicep",
        by_hand="The same, and publish an event of 70 KiB: six minutes later it is a blob in dead-letters.",
    ),
    Fact(
        name="size of a message",
        assumption="a queue refuses a message over 64 KiB, counted as it is encoded, with 413 or 400",
        basis="REST: Put Message; Azurite answers 413",
        change="shared/domain/event_size.py",
        by_hand="Deploy with SASQUASH_PRIVATE_NETWORK, and publish events whose data has 47 and 48 KiB.",
    ),
    Fact(
        name="names in dead letters",
        assumption="a dead-lettered CloudEvent has the properties of the event, and Event Grid's own in camel case",
        basis="Event Grid dead-letter docs, which show the Event Grid schema only",
        change="shared/operations/dead_letters.py, and local/event_grid",
        by_hand="Publish an event of 70 KiB in a private network, and read the blob in the container dead-letters.",
    ),
    Fact(
        name="messages in queues",
        assumption="Event Grid writes plain JSON or base64 of it to a storage queue",
        basis="azure-docs#69702 and #102923 contradict each other",
        change="shared/domain/event_size.py, if it is plain: shared/persistence/event_queue.py reads both",
        by_hand="The same, but disable on_queued_finding before, and read the message's text.",
    ),
    Fact(
        name="secrets of settings",
        assumption="a versionless Key Vault reference is read again within five minutes",
        basis="the app reads it itself; configreferences/…/refresh is not used",
        change="docs/sources.md",
        by_hand="Add a version of a secret, and send a report that it signs.",
    ),
    Fact(
        name="tokens of managed identities",
        assumption="for a registration of version 2 they are of version 2, too; the app reads both",
        basis="fastapi-azure-auth#129 and azure-docs#75395 contradict each other",
        change="local/entra/managed_identity.py",
        by_hand="Decode the token that a Logic App gets for api://<client id>.",
    ),
    Fact(
        name="sign-in to the console",
        assumption="the console gets a token for its own registration by <client id>/.default",
        basis="microsoft-authentication-library-for-js#3972",
        change="shared/api/console/serving.py: the scope api://<client id>/user_impersonation",
        by_hand="Open the console as a user who may not consent to applications.",
    ),
    Fact(
        name="incidents in Defender",
        assumption="createAlert accepts an azureResource entity with resourceId, from a managed identity",
        basis="Microsoft Graph beta, security: createAlert",
        change="shared/followup/incidents/defender.py, and local/graph/security.py",
        by_hand="Deploy with SASQUASH_INCIDENTS=defender in a tenant with Microsoft Defender.",
    ),
    Fact(
        name="second SharePoint item",
        assumption="SharePoint refuses a second item of one finding; its error code is not relied on",
        basis="enforceUniqueValues; the code differs between reports",
        change="local/graph/sharepoint_list.py",
        by_hand="Add an item with the FindingId of another one.",
    ),
    Fact(
        name="mail by the identity",
        assumption="Exchange lets the identity send within two hours after scripts/grant-exchange.ps1",
        basis="Role Based Access Control for Applications in Exchange Online: caches of 30 minutes to 2 hours",
        change="docs/deploy.md",
        by_hand="Run the script, and send with the identity until it works.",
    ),
)
"""Every belief; those of the stand-ins that no specification settles are among them."""
