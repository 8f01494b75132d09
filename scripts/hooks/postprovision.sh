#!/usr/bin/env bash
# azd's hook `postprovision`: prints the administrators' steps that are still missing. Changes nothing, and fails nothing: it
# is information. postprovision.ps1 does the same on Windows.
set -uo pipefail
# shellcheck source=scripts/hooks/limited.sh
. "$(dirname "$0")/limited.sh"

# A preview of a new environment has deployed nothing yet.
[ -n "${SASQUASH_RESPONDER_PRINCIPAL_ID:-}" ] || exit 0

graph=https://graph.microsoft.com/v1.0
client=${SASQUASH_API_CLIENT_ID:-}
left=''

left() {
    left="$left
- $1"
}

# ids <path>: the ids of a collection in Graph, a line each; fails if this person may not read it.
ids() {
    limited 60 az rest --only-show-errors --url "$graph/$1" --query "value[].id" --output tsv 2> /dev/null
}

if [ -z "$client" ]; then
    left "Somebody who may register applications: scripts/create-registration.sh $AZURE_ENV_NAME, then azd provision. Until then the API refuses every call but health."
elif ! people=$(ids "servicePrincipals(appId='$client')/appRoleAssignedTo"); then
    left "An owner of the registration, unless it is done: assign its roles to people (Entra ID, Enterprise applications, Sasquash $AZURE_ENV_NAME)."
elif [ -z "$people" ]; then
    left "An owner of the registration: assign its roles to people (Entra ID, Enterprise applications, Sasquash $AZURE_ENV_NAME). Nobody has one."
fi
grant="SASQUASH_RESPONDER_PRINCIPAL_ID=$SASQUASH_RESPONDER_PRINCIPAL_ID scripts/grant-graph.sh $AZURE_ENV_NAME"
if ! rights=$(ids "servicePrincipals/$SASQUASH_RESPONDER_PRINCIPAL_ID/appRoleAssignments"); then
    left "An administrator of Entra ID, unless it is done: $grant"
elif [ -z "$rights" ]; then
    left "An administrator of Entra ID, since the responder has no right in Graph: $grant"
fi
left "An administrator of Exchange, unless it is done (it cannot be seen from here): scripts/grant-exchange.ps1 -Environment $AZURE_ENV_NAME -ClientId $SASQUASH_RESPONDER_CLIENT_ID -PrincipalId $SASQUASH_RESPONDER_PRINCIPAL_ID -Mailbox ${SASQUASH_MAIL_SENDER:-$SASQUASH_SECURITY_MAILBOX}"

echo "Steps of administrators (docs/deploy.md):$left"
exit 0
