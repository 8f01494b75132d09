"""The identities of the tenant: the managed identities of the app, a developer, and people with a role.

The ids are fixed, so that a recorded request or a token means the same principal after every restart.
"""

from local.tenant.model import (
    INTAKE_ACCOUNT,
    KEY_VAULT,
    MAIL_SENDER,
    SECURITY_MAILBOX,
    STATE_ACCOUNT,
    TENANT_DOMAIN,
    Identity,
    User,
)

_RESPONDER_RIGHTS = frozenset(
    {
        "Microsoft.ResourceGraph/resources/read",
        "Microsoft.Management/managementGroups/descendants/read",
        "Microsoft.Storage/storageAccounts/read",
        "Microsoft.Storage/storageAccounts/listkeys/action",
        "Microsoft.Storage/storageAccounts/regeneratekey/action",
        "Microsoft.Storage/storageAccounts/revokeUserDelegationKeys/action",
        "Microsoft.Storage/storageAccounts/write",  # lockdown
        "Microsoft.Resources/subscriptions/read",
        "Microsoft.Resources/subscriptions/resourceGroups/read",
        "Microsoft.Authorization/roleAssignments/read",
        "Microsoft.Security/securityContacts/read",
        "Microsoft.Authorization/locks/read",
        "Microsoft.Authorization/denyAssignments/read",
        "Microsoft.Authorization/permissions/read",
        "Microsoft.Insights/diagnosticSettings/read",
        "Microsoft.Storage/storageAccounts/blobServices/read",
        "Microsoft.Storage/storageAccounts/blobServices/containers/read",
        "Microsoft.Insights/eventtypes/values/read",
        "Microsoft.Insights/logs/StorageBlobLogs/read",
        "Microsoft.Insights/logs/StorageQueueLogs/read",
        "Microsoft.Insights/logs/StorageTableLogs/read",
        "Microsoft.Insights/logs/StorageFileLogs/read",
        "Microsoft.Storage/storageAccounts/fileServices/shares/read",
        "Microsoft.Storage/storageAccounts/fileServices/shares/write",
        "Microsoft.Storage/storageAccounts/tableServices/tables/read",
        "Microsoft.Storage/storageAccounts/tableServices/tables/write",
        "Storage Blob Delegator@*",
        "EventGrid/events/send",
        "Monitoring Metrics Publisher@insights",
        "Monitoring Metrics Publisher@history",  # on the data collection rule
        "Sasquash History@workspace",
        "Reader@SasquashHistory_CL",  # on the table
        "User.ReadBasic.All",
        "GroupMember.Read.All",
        "Application.Read.All",
        "SecurityAlert.Read.All",
        "SecurityAlert.ReadWrite.All",
        "SecurityAlert.Create.All",
        "SecurityIncident.ReadWrite.All",
        "Microsoft.SecurityInsights/incidents/read",
        "Microsoft.SecurityInsights/incidents/write",
        "Azure DevOps/advsec.read",
        "Azure DevOps/code.read",
        "Azure DevOps/advsec.manage",
        "Mail.Send",  # from MAIL_SENDER only (graph.mail), as with Exchange's RBAC for Applications
        "Sites.Selected",  # granted with role "write" on SHAREPOINT_SITE
        f"Storage Table Data Contributor@{STATE_ACCOUNT}",
        f"Storage Queue Data Contributor@{STATE_ACCOUNT}",
        f"Storage Blob Data Owner@{STATE_ACCOUNT}",
        f"Key Vault Secrets Officer@{KEY_VAULT}",
    }
)

_INTAKE_RIGHTS = frozenset(
    {
        "EventGrid/events/send",
        "SecurityAlert.Read.All",
        "Azure DevOps/advsec.read",
        "Azure DevOps/code.read",
        # If it is a separate app: its two queues, and the account of its host.
        f"Storage Queue Data Contributor@{STATE_ACCOUNT}/intake",
        f"Storage Queue Data Contributor@{STATE_ACCOUNT}/intake-poison",
        f"Storage Blob Data Owner@{INTAKE_ACCOUNT}",
        f"Storage Table Data Contributor@{INTAKE_ACCOUNT}",
    }
)

# Of the Event Grid topic itself, in a private network.
_TOPIC_RIGHTS = frozenset({f"Storage Queue Data Message Sender@{STATE_ACCOUNT}/findings"})

_DEVELOPER_RIGHTS = frozenset(
    {
        "Microsoft.Resources/*",
        "Microsoft.Authorization/*",
        "Microsoft.Web/*",
        "Microsoft.ResourceGraph/resources/read",
        "Microsoft.Storage/*",
        "EventGrid/events/send",
        "Storage Blob Data Owner@*",
        "Storage File Data Privileged Contributor@*",
        "Storage Blob Data Contributor@*",
        "Storage Queue Data Contributor@*",
        "Storage Table Data Contributor@*",
        "Key Vault Secrets Officer@*",
        "Directory/Application Developer",
    }
)

# Built-in roles of Entra ID, as "Directory/<role>".
_ADMINISTRATOR_RIGHTS = frozenset(
    {
        "Directory/Application Developer",
        "Directory/Privileged Role Administrator",
        "Directory/SharePoint Administrator",
    }
)


def directory() -> dict[str, Identity]:
    """Return the principals of the tenant by name.

    `responder` is the managed identity of the deployed app, with exactly the rights that the product uses; `intake`
    is that of an intake deployed as a separate app, and `topic` that of the Event Grid topic. `developer` is the
    person who runs the local cloud. `reader`, `responder-person`, `approver` and `second-approver` are people with
    one app role of Sasquash's API each: approving a responder's order needs a second approver. `reporter` is a
    program that reports leaks. `administrator` is an administrator of Entra ID and SharePoint, without rights in
    Azure.
    """
    identities = (
        Identity(
            name="responder",
            object_id="81ee9332-c35d-4c3e-9f21-3f7f99e80623",
            client_id="2a7f4bcd-f2a2-490b-8319-f17620580873",
            rights=_RESPONDER_RIGHTS,
        ),
        Identity(
            name="intake",
            object_id="0c6e1f0b-5a8d-4f39-9a6f-64d0e0a1b7c3",
            client_id="b8a7e5d2-3c41-4d0a-8c57-1f2e9d6a4b30",
            rights=_INTAKE_RIGHTS,
        ),
        Identity(
            name="topic",
            object_id="4e7b0d19-8c25-4a61-b3f8-92d5c6a17e04",
            client_id="d19c3a58-2f64-4b7e-9a01-7c85e2b6f430",
            rights=_TOPIC_RIGHTS,
        ),
        Identity(
            name="developer",
            object_id="1f21f8fc-2f07-4d06-b01b-c510fc4ef197",
            client_id="6b4365b5-a7e6-4883-a7e4-dd68ee0c600f",
            rights=_DEVELOPER_RIGHTS,
        ),
        Identity(
            name="reader",
            object_id="f36c87e7-fca8-412c-8f70-575907292a83",
            client_id="08bdef17-bc9a-4f6f-95bb-7e0446da6f1a",
            rights=frozenset({"Sasquash.Reader"}),
        ),
        Identity(
            name="responder-person",
            object_id="f8e50806-86c7-4607-84e9-50394e5b33e6",
            client_id="7f47d77c-7271-42eb-b51d-32f3c8d5c04b",
            rights=frozenset({"Sasquash.Responder"}),
        ),
        Identity(
            name="approver",
            object_id="cd7dbcdd-c57c-427e-9fc2-0f70fd4e1bca",
            client_id="7a1d0560-3c04-429b-88dd-6584eefa6ce8",
            rights=frozenset({"Sasquash.Approver"}),
        ),
        Identity(
            name="reporter",
            object_id="5e0b7e0c-7f34-4b8a-9d0b-1f6a0c5f2d71",
            client_id="c2f0a4f5-6ad8-45c6-8b1e-0f9d3b7e5a26",
            rights=frozenset({"Sasquash.Reporter"}),
        ),
        Identity(
            name="second-approver",
            object_id="2c9d1e57-6f0b-4f0a-8f2d-7a3b5c1d9e84",
            client_id="9a0f7b46-59a5-4f3e-8a44-0f2f0a8f7c11",
            rights=frozenset({"Sasquash.Approver"}),
        ),
        Identity(
            name="administrator",
            object_id="b3f7c2d9-4e80-4a16-9c35-6d2e1f0a8b74",
            client_id="e2a9d1c6-7b54-4f38-8a0d-3c6f5b1e9d27",
            rights=_ADMINISTRATOR_RIGHTS,
        ),
    )
    return {identity.name: identity for identity in identities}


def users() -> dict[str, User]:
    """Return the people and mailboxes of the directory, by lower-case user principal name.

    An identity with the object id of a user is a person, and its tokens have a person's claims (`Entra.mint`).
    """
    identities = directory()
    people = (
        _person(identities["developer"].object_id, "Dev Sundaram", "developer"),
        _person(identities["reader"].object_id, "Rhea Okafor", "reader"),
        _person(identities["responder-person"].object_id, "Ravn Sørensen", "responder"),
        _person(identities["approver"].object_id, "Ada Lindqvist", "approver"),
        _person(identities["second-approver"].object_id, "Second Approver", "second-approver"),
        _person(identities["administrator"].object_id, "Tenant Administrator", "administrator"),
        _person("796556ab-fd10-43fd-9d38-1b5021839270", "Model Owner", "model-owner"),
        _person("168dd3f2-5541-4a42-a261-e0c698d38bbf", "Storage Team", "storage-team"),
        User(
            object_id="5bcfaa6f-be89-4337-ae29-ec612eb29995",
            display_name="Robin Former",
            user_principal_name=f"former-owner@{TENANT_DOMAIN}",
            mail=f"former-owner@{TENANT_DOMAIN}",
            account_enabled=False,
        ),
        User(
            object_id="4a4924f4-511d-40ad-9811-df6092faf58c",
            display_name="Gil Fabrikam",
            user_principal_name="gil_fabrikam.com#EXT#@contoso.onmicrosoft.com",
            mail="gil@fabrikam.com",
        ),
        # Exchange disables the sign-in of shared mailboxes.
        User(
            object_id="a7a56f8c-3afc-4336-ae79-61df9cbad569",
            display_name="Sasquash",
            user_principal_name=MAIL_SENDER,
            mail=MAIL_SENDER,
            account_enabled=False,
        ),
        User(
            object_id="cb1c87bc-2940-4ef5-8582-2a8288195088",
            display_name="Security",
            user_principal_name=SECURITY_MAILBOX,
            mail=SECURITY_MAILBOX,
            account_enabled=False,
        ),
    )
    return {user.user_principal_name.lower(): user for user in people}


def _person(object_id: str, display_name: str, alias: str) -> User:
    address = f"{alias}@{TENANT_DOMAIN}"
    return User(object_id=object_id, display_name=display_name, user_principal_name=address, mail=address)
