"""Names and ids of the tenant that stay the same after every restart."""

TENANT_ID = "7e1d5f0a-6c1b-4f0e-9d51-0a6d1c3e9b11"
TENANT_DOMAIN = "contoso.com"
SUBSCRIPTION_ID = "3d8f6a52-91c4-4b7e-8f0d-5b2a7c9e1f33"
MANAGEMENT_GROUP = "contoso"
LOCATION = "westeurope"

# The registration that people and reporters sign in to, and its identifier URI.
CONSOLE_CLIENT_ID = "d3a1f6b8-5c2e-4f7a-9b0d-8e4c6a2f1d57"
API_ID_URI = f"api://{CONSOLE_CLIENT_ID}"
STATE_ACCOUNT = "sasquashstate"  # holds Sasquash's own tables and queues, and the storage of the responder's host
INTAKE_ACCOUNT = "sasquashintake"  # the storage of the intake's host, where the intake is a separate app
TOPIC_HOST = "sasquash.westeurope-1.eventgrid.azure.net"
HISTORY_RULE = "dcr-4f9c1d7be0a84c53a2f6d1907b3e8a55"  # its immutable id
HISTORY_WORKSPACE = "c0a5d7e2-1b8f-4e36-9d47-3a6f2b9c8e10"  # the workspace's id
STORAGE_WORKSPACE = "5be1d0c6-7a92-4c0f-8f5e-2d4b6a91e3f7"  # of the storage logs of all accounts: its id
KEY_VAULT = "sasquash-vault"
SHAREPOINT_SITE = "contoso.sharepoint.com,5f0c7a1e-52c5-4f3b-8d0a-2f6f1f0c9a77,1c9b2b7d-0c52-4a0c-9d3e-7b1a5d2c4e66"
SHAREPOINT_LIST = "b7d0a9c4-3f6e-4d2b-9a51-6e8c0f1d2b35"
MAIL_SENDER = "sasquash@contoso.com"
SECURITY_MAILBOX = "security@contoso.com"
