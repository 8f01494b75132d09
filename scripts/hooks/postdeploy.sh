#!/usr/bin/env bash
# azd's hook `postdeploy`: the event subscription, which Azure refuses before its function exists; then what shows whether the
# deployment works. Only the event subscription can fail a deployment. postdeploy.ps1 does the same on Windows.
set -euo pipefail
# shellcheck source=scripts/hooks/limited.sh
. "$(dirname "$0")/limited.sh"

limited 900 az deployment group create --only-show-errors --output none --name event-subscription \
    --subscription "$AZURE_SUBSCRIPTION_ID" --resource-group "$AZURE_RESOURCE_GROUP" \
    --template-file infra/event-subscription.bicep \
    --parameters topicName="$SASQUASH_TOPIC_NAME" responderName="$SASQUASH_RESPONDER_NAME" storageName="$SASQUASH_STORAGE_NAME" \
    queueName="${SASQUASH_FINDINGS_QUEUE:-}"
echo "Findings reach the responder: the event subscription is deployed."

set +e # the rest is information
graph=https://graph.microsoft.com/v1.0
api=$SASQUASH_API
intake=${SASQUASH_INTAKE%/intake}
client=${SASQUASH_API_CLIENT_ID:-}

# health <name> <address>
health() {
    if ! command -v curl > /dev/null; then
        echo "$1: not checked, since curl is missing: $2/health"
    elif curl --silent --output /dev/null --fail --max-time 30 --retry 3 --retry-delay 5 --retry-all-errors "$2/health"; then
        echo "$1: healthy ($2/health)"
    else
        echo "$1: NOT HEALTHY ($2/health). After a first deployment rights can take ten minutes: try again. Then docs/deploy.md#if-the-build-fails."
    fi
}

health Responder "$api"
[ "$intake" = "$api" ] || health Intake "$intake"

# The console's address is known now: people sign in there from the browser.
if [ -n "$client" ]; then
    if ! known=$(limited 60 az rest --only-show-errors --output tsv --url "$graph/applications(appId='$client')?\$select=spa" \
        --query "spa.redirectUris || \`[]\`" 2> /dev/null); then
        echo "An owner of the registration adds the console's address: SASQUASH_API=$api scripts/create-registration.sh $AZURE_ENV_NAME"
    elif ! grep -qx "$api/desk" <<< "$known"; then
        others=$(awk 'NF { printf ", \"%s\"", $0 }' <<< "$known")
        if limited 60 az rest --only-show-errors --output none --method patch --url "$graph/applications(appId='$client')" \
            --headers Content-Type=application/json \
            --body "{\"spa\": {\"redirectUris\": [\"$api/desk\"$others]}}" 2> /dev/null; then
            echo "The registration allows sign-in at the console."
        else
            echo "An owner of the registration adds the console's address: SASQUASH_API=$api scripts/create-registration.sh $AZURE_ENV_NAME"
        fi
    fi
fi

echo "Console: $api/desk"
if [ -z "$client" ]; then
    echo "Nobody can sign in yet: scripts/create-registration.sh $AZURE_ENV_NAME, then azd provision."
    exit 0
fi
echo "A token: ${SASQUASH_TOKEN_COMMAND:-}"

# The token goes to curl by standard input: others can read command lines.
token=$(limited 60 az account get-access-token --resource "api://$client" --query accessToken --output tsv --only-show-errors 2> /dev/null)
readiness=$([ -z "$token" ] || printf 'Authorization: Bearer %s' "$token" |
    curl --silent --fail --max-time 30 --header @- "$api/readiness" 2> /dev/null)
if [ -z "$readiness" ]; then
    echo "Readiness was not read: this account has no role of the registration yet, or gets no token for it. GET $api/readiness"
else
    count() { grep -o "$1" <<< "$readiness" | wc -l | tr -d ' '; }
    drill=$(grep -o '"outcome":"[a-z_]*"' <<< "$readiness" | head -n 1 | cut -d '"' -f 4)
    echo "Readiness: $(count '"ready":true') accounts ready, $(count '"ready":false') not; latest drill: ${drill:-none yet, the first one runs within 15 minutes}."
fi
exit 0
