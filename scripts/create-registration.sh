#!/usr/bin/env bash
# Creates the app registration that people and reporters sign in to, once per environment (docs/deploy.md). The first
# step of a deployment, so that one `azd up` is enough:
#
#   scripts/create-registration.sh prod            # the name of azd's environment; sign in before: az login
#
# Requires the right to register applications (Application Developer). Safe to run again: each step is made once, or sets
# what it set before. A step that fails does not stop the others; what failed is named at the end. What it sets, and why:
# - the app roles of docs/rights.md (scripts/app-roles.json);
# - version 2 of access tokens: the platform's sign-in accepts only their issuer, and the default is version 1;
# - the optional claim `idtyp` of access tokens, which marks those of applications: they approve nothing;
# - a scope, and the Azure CLI as a client that needs no consent: without them `az account get-access-token` fails with
#   AADSTS65001 (Azure/azure-cli#15056);
# - the console's address, which signs people in from the browser (authorization code with PKCE). It is known after the
#   first deployment, whose hook `postdeploy` adds it.
set -euo pipefail

environment=${1:-${AZURE_ENV_NAME:?the name of the environment}}
graph=https://graph.microsoft.com/v1.0
here=$(cd "$(dirname "$0")" && pwd)
azure_cli=04b07795-8ddb-461a-bbee-02f9e1bf7b46
scope=7c1d9a52-4e0b-4f36-8b8e-2d5a6f3c9e66 # its id in scripts/registration-api.json
failed=''

# step <name> <command…>
step() {
    local name=$1
    shift
    if "$@"; then
        echo "Done: $name."
    else
        echo "FAILED: $name. The message above says why." >&2
        failed="$failed $name;"
    fi
}

patch() {
    az rest --method patch --url "$graph/applications(appId='$app')" --headers Content-Type=application/json \
        --body "$1" --output none
}

name="Sasquash $environment"
app=$(az ad app list --display-name "$name" --query "[?displayName=='$name'].appId" --output tsv)
if [ "$(grep -c . <<< "$app")" -gt 1 ]; then # two runs at once
    echo "Several registrations are named $name. Delete all but one, and run this again:" >&2
    echo "$app" >&2
    exit 1
fi
if [ -z "$app" ]; then
    app=$(az ad app create --display-name "$name" --sign-in-audience AzureADMyOrg --query appId --output tsv)
    echo "Created the registration $name: $app"
else
    echo "The registration $name exists: $app"
fi

service_principal() {
    local found
    found=$(az ad sp list --filter "appId eq '$app'" --query "[0].id" --output tsv) || return
    [ -n "$found" ] || az ad sp create --id "$app" --output none
}

step "app roles and identifier" az ad app update --id "$app" --identifier-uris "api://$app" --app-roles "@$here/app-roles.json"
step "service principal" service_principal
# In two requests: Graph refuses to pre-authorize for a scope of the same request (microsoft-graph-docs#20177).
step "version of tokens, and scope" patch "@$here/registration-api.json"
step "the Azure CLI as a client" patch "$(
    printf '{"api": {"preAuthorizedApplications": [{"appId": "%s", "delegatedPermissionIds": ["%s"]}]}}' "$azure_cli" "$scope"
)"
if [ -n "${SASQUASH_API:-}" ]; then
    step "the console's address" patch "$(printf '{"spa": {"redirectUris": ["%s/desk"]}}' "$SASQUASH_API")"
fi

# azd would create an environment that it does not have.
set_value=(azd env set SASQUASH_API_CLIENT_ID "$app" --environment "$environment" --cwd "$here/.." --no-prompt)
if [ -d "$here/../.azure/$environment" ] && command -v azd > /dev/null && "${set_value[@]}" > /dev/null 2>&1; then
    echo "Set SASQUASH_API_CLIENT_ID in azd's environment $environment."
else
    echo "Run where azd's environment is: azd env set SASQUASH_API_CLIENT_ID $app"
fi
if [ -n "$failed" ]; then
    echo "Not done:$failed run this again once the cause is removed; what is done stays." >&2
    exit 1
fi
echo "The registration is complete. Assign its roles to people: Entra ID, Enterprise applications, $name, Users and groups."
echo "They get a token by: az account get-access-token --resource api://$app --query accessToken --output tsv"
