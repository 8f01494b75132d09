#!/usr/bin/env bash
# Creates the app registration that people and reporters sign in to, once per environment (docs/deploy.md).
#
#   set -a; eval "$(azd env get-values)"; set +a
#   scripts/create-registration.sh                 # sign in before: az login
#
# Requires the right to register applications (Application Developer). Safe to run again: each step is made once, or sets
# what it set before. What it sets, and why:
# - the app roles of docs/rights.md (scripts/app-roles.json);
# - version 2 of access tokens: the platform's sign-in accepts only their issuer, and the default is version 1;
# - the optional claim `idtyp` of access tokens, which marks those of applications: they approve nothing;
# - a scope, and the Azure CLI as a client that needs no consent: without them `az account get-access-token` fails with
#   AADSTS65001 (Azure/azure-cli#15056);
# - the console's address, which signs people in from the browser (authorization code with PKCE).
set -euo pipefail

: "${AZURE_ENV_NAME:?}" "${SASQUASH_API:?}"
graph=https://graph.microsoft.com/v1.0
here=$(dirname "$0")
azure_cli=04b07795-8ddb-461a-bbee-02f9e1bf7b46
scope=7c1d9a52-4e0b-4f36-8b8e-2d5a6f3c9e66 # its id in scripts/registration-api.json

name="Sasquash $AZURE_ENV_NAME"
app=$(az ad app list --display-name "$name" --query "[?displayName=='$name'].appId | [0]" --output tsv)
if [ -z "$app" ]; then
    app=$(az ad app create --display-name "$name" --sign-in-audience AzureADMyOrg --query appId --output tsv)
    echo "Created the registration $name: $app"
fi
az ad app update --id "$app" --identifier-uris "api://$app" --app-roles "@$here/app-roles.json"
if [ -z "$(az ad sp list --filter "appId eq '$app'" --query "[0].id" --output tsv)" ]; then
    az ad sp create --id "$app" --output none
fi

patch() {
    az rest --method patch --url "$graph/applications(appId='$app')" --headers Content-Type=application/json \
        --body "$1" --output none
}
# In two requests: Graph refuses to pre-authorize for a scope of the same request (microsoft-graph-docs#20177).
patch "@$here/registration-api.json"
patch "$(printf '{"api": {"preAuthorizedApplications": [{"appId": "%s", "delegatedPermissionIds": ["%s"]}]}}' "$azure_cli" "$scope")"
patch "$(printf '{"spa": {"redirectUris": ["%s/desk"]}}' "$SASQUASH_API")"

echo "The registration is complete. Next:"
echo "  azd env set SASQUASH_API_CLIENT_ID $app && azd provision"
echo "Then assign the roles to people: Entra ID, Enterprise applications, $name, Users and groups."
echo "They get a token by:"
echo "  az account get-access-token --resource api://$app --query accessToken --output tsv"
