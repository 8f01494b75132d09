#!/usr/bin/env bash
# Grants the Graph rights of the apps' identities: app roles, which an administrator of Entra ID grants (Privileged Role
# Administrator). Once per environment, after the first `azd up` (docs/deploy.md).
#
#   scripts/grant-graph.sh prod            # the name of azd's environment; sign in before: az login
#
# Without that environment here, set SASQUASH_RESPONDER_PRINCIPAL_ID before it: the deployment prints the whole command.
#
# - of the responder: names of users, members of groups;
# - access to selected SharePoint sites, if SASQUASH_INCIDENT_SITE is set and incidents go nowhere else
#   (scripts/create-incident-list.ps1 selects the site);
# - with SASQUASH_INCIDENTS=defender, creating and updating incidents of the Defender portal;
# - with DEFENDER=1, alerts of Defender: read by the intake, resolved by the responder.
# Mail is granted in Exchange, for one mailbox: scripts/grant-exchange.ps1. The registration that people sign in to is
# scripts/create-registration.sh, which needs none of this. Safe to run again. A grant that fails does not stop the others;
# what is missing is named at the end.
set -euo pipefail

environment=${1:-${AZURE_ENV_NAME:?the name of the environment}}
root=$(cd "$(dirname "$0")/.." && pwd)
if [ -z "${SASQUASH_RESPONDER_PRINCIPAL_ID:-}" ] && [ -d "$root/.azure/$environment" ]; then
    set -a
    eval "$(azd env get-values --environment "$environment" --cwd "$root")"
    set +a
fi
: "${SASQUASH_RESPONDER_PRINCIPAL_ID:?is printed by the deployment, or: azd env get-value SASQUASH_RESPONDER_PRINCIPAL_ID}"
# As the app has it where SASQUASH_INCIDENTS is empty.
incidents=${SASQUASH_INCIDENTS:-${SASQUASH_INCIDENT_SITE:+sharepoint}}
graph=https://graph.microsoft.com/v1.0
graph_app=00000003-0000-0000-c000-000000000000
missing=''

# Graph's own service principal in this tenant, and its app roles: a line each of value and id.
resource=$(az ad sp show --id "$graph_app" --query id --output tsv)
roles=$(az ad sp show --id "$graph_app" --output tsv \
    --query "appRoles[?contains(allowedMemberTypes, 'Application')].[value, id]")

# has <object id of an identity> <id of an app role>
has() {
    az rest --url "$graph/servicePrincipals/$1/appRoleAssignments" --query "value[?appRoleId=='$2'].id" --output tsv | grep -q .
}

# grant <object id of an identity> <Graph app role>
grant() {
    local role body
    role=$(awk -F '\t' -v value="$2" '$1 == value { print $2 }' <<< "$roles")
    if [ -z "$role" ]; then
        echo "  $2: FAILED, this tenant's Graph has no such app role" >&2
        missing="$missing $2"
        return
    fi
    if has "$1" "$role"; then
        echo "  $2: already granted"
        return
    fi
    body=$(printf '{"principalId": "%s", "resourceId": "%s", "appRoleId": "%s"}' "$1" "$resource" "$role")
    # Refused, too, where somebody else has granted it meanwhile.
    if az rest --method post --url "$graph/servicePrincipals/$1/appRoleAssignments" --body "$body" --output none ||
        has "$1" "$role"; then
        echo "  $2: granted"
    else
        echo "  $2: FAILED, the message above says why" >&2
        missing="$missing $2"
    fi
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

if [ -n "$missing" ]; then
    echo "Not granted:$missing. Run this again with the role Privileged Role Administrator; what is granted stays." >&2
    exit 1
fi
echo "All Graph rights are granted."
