#!/usr/bin/env bash
# Grants that require an administrator of Entra ID: run once per environment, after the first `azd up` (docs/deploy.md).
#
#   set -a; eval "$(azd env get-values)"; set +a
#   scripts/grant-graph.sh                 # sign in before: az login
#
# - Graph rights of the responder's identity: names of users, members of groups;
# - one SharePoint site, if SASQUASH_INCIDENT_SITE is set and incidents go nowhere else;
# - with INCIDENTS=defender, creating and updating incidents of the Defender portal;
# - with DEFENDER=1, alerts of Defender: read by the intake, resolved by the responder.
# Mail is granted in Exchange, for one mailbox: scripts/grant-exchange.ps1. The registration that people sign in to is
# scripts/create-registration.sh, which needs none of this. Safe to run again.
set -euo pipefail

: "${AZURE_ENV_NAME:?}" "${SASQUASH_RESPONDER_PRINCIPAL_ID:?}" "${SASQUASH_RESPONDER_CLIENT_ID:?}"
# As the app has it where SASQUASH_INCIDENTS is empty.
incidents=${INCIDENTS:-${SASQUASH_INCIDENT_SITE:+sharepoint}}
graph=https://graph.microsoft.com/v1.0
graph_app=00000003-0000-0000-c000-000000000000

# grant <object id of the identity> <Graph app role>
grant() {
    local resource role body
    resource=$(az ad sp show --id "$graph_app" --query id --output tsv)
    role=$(az ad sp show --id "$graph_app" --query "appRoles[?value=='$2' && contains(allowedMemberTypes, 'Application')].id" --output tsv)
    if az rest --url "$graph/servicePrincipals/$1/appRoleAssignments" --query "value[?appRoleId=='$role'].id" --output tsv | grep -q .; then
        echo "  $2: already granted"
        return
    fi
    body=$(printf '{"principalId": "%s", "resourceId": "%s", "appRoleId": "%s"}' "$1" "$resource" "$role")
    az rest --method post --url "$graph/servicePrincipals/$1/appRoleAssignments" --body "$body" --output none
    echo "  $2: granted"
}

echo "Graph rights of the responder:"
grant "$SASQUASH_RESPONDER_PRINCIPAL_ID" User.ReadBasic.All
grant "$SASQUASH_RESPONDER_PRINCIPAL_ID" GroupMember.Read.All
[ "$incidents" != sharepoint ] || grant "$SASQUASH_RESPONDER_PRINCIPAL_ID" Sites.Selected
if [ "$incidents" = defender ]; then
    grant "$SASQUASH_RESPONDER_PRINCIPAL_ID" SecurityAlert.Create.All
    grant "$SASQUASH_RESPONDER_PRINCIPAL_ID" SecurityIncident.ReadWrite.All
fi
if [ "${DEFENDER:-0}" = 1 ]; then
    grant "$SASQUASH_RESPONDER_PRINCIPAL_ID" SecurityAlert.ReadWrite.All
    if [ -n "${SASQUASH_INTAKE_PRINCIPAL_ID:-}" ]; then # of one app the responder reads them, by the right above
        echo "Graph rights of the intake:"
        grant "$SASQUASH_INTAKE_PRINCIPAL_ID" SecurityAlert.Read.All
    fi
fi

if [ "$incidents" = sharepoint ]; then
    : "${SASQUASH_INCIDENT_SITE:?}"
    echo "Write permission on the incident list's site only"
    az rest --method post --url "$graph/sites/$SASQUASH_INCIDENT_SITE/permissions" --output none --body "$(
        printf '{"roles": ["write"], "grantedToIdentities": [{"application": {"id": "%s", "displayName": "Sasquash %s"}}]}' \
            "$SASQUASH_RESPONDER_CLIENT_ID" "$AZURE_ENV_NAME"
    )"
fi
