#!/usr/bin/env bash
# azd's hook `preprovision`: everything that would stop the deployment half-way, in one message, before it starts. azd checks
# its own version (requiredVersions in azure.yaml). Changes nothing. preprovision.ps1 does the same on Windows.
set -euo pipefail
# shellcheck source=scripts/hooks/limited.sh
. "$(dirname "$0")/limited.sh"

: "${AZURE_SUBSCRIPTION_ID:?}" "${AZURE_LOCATION:?}"
minimum=2.37.0 # `az ad` uses Microsoft Graph since then: "Microsoft Graph migration" of the Azure CLI
problems=''

problem() {
    problems="$problems
- $1"
}

report() {
    if [ -n "$problems" ]; then
        echo "Nothing was deployed. Before the next try:$problems" >&2
        exit 1
    fi
}

if ! command -v az > /dev/null; then
    problem "Install the Azure CLI: https://learn.microsoft.com/cli/azure/install-azure-cli"
    report
fi

# older <version> <version>: whether the first one is older than the second one
older() {
    [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -t . -k 1,1n -k 2,2n -k 3,3n | head -n 1)" = "$1" ]
}

installed=$(limited 60 az version --query '"azure-cli"' --output tsv)
! older "$installed" "$minimum" || problem "Update the Azure CLI to $minimum or newer (it is $installed): az upgrade"

who=$(limited 60 az account show --subscription "$AZURE_SUBSCRIPTION_ID" --query user.name --output tsv --only-show-errors) || {
    problem "Sign the Azure CLI in to subscription $AZURE_SUBSCRIPTION_ID: az login"
    report
}

# covers <permission> <patterns, separated by spaces>: whether one of them covers it, in any case. `*` stands for any text.
covers() {
    local pattern
    set -f
    for pattern in $2; do
        # shellcheck disable=SC2254 # a pattern is what it is
        case $1 in $pattern) set +f && return 0 ;; esac
    done
    set +f
    return 1
}

# check <subscription> <permission…>: adds a problem that names the permissions which the signed-in person lacks there.
# "Permissions - List": a line for each role, of its actions and its exceptions. Without a host, the Azure CLI takes that of
# its cloud.
check() {
    local subscription=$1 roles permission lacking='' actions exceptions found
    shift
    if ! roles=$(limited 60 az rest --only-show-errors --output tsv \
        --url "/subscriptions/$subscription/providers/Microsoft.Authorization/permissions?api-version=2022-04-01" \
        --query "value[].join('|', [join(' ', actions), join(' ', notActions)])" | tr '[:upper:]' '[:lower:]'); then
        problem "The rights on subscription $subscription could not be read: the message above says why."
        return
    fi
    for permission in "$@"; do
        found=''
        while IFS='|' read -r actions exceptions; do
            if covers "$(tr '[:upper:]' '[:lower:]' <<< "$permission")" "$actions" &&
                ! covers "$(tr '[:upper:]' '[:lower:]' <<< "$permission")" "$exceptions"; then
                found=1
            fi
        done <<< "$roles"
        [ -n "$found" ] || lacking="$lacking $permission"
    done
    if [ -n "$lacking" ]; then
        problem "$who lacks on subscription $subscription:$lacking. Owner has them, or Contributor with User Access Administrator."
    fi
}

rights=(Microsoft.Resources/deployments/write Microsoft.Authorization/roleAssignments/write)
check "$AZURE_SUBSCRIPTION_ID" Microsoft.Resources/subscriptions/resourceGroups/write Microsoft.Web/sites/write "${rights[@]}"
if [ "${SASQUASH_GRANT_RIGHTS:-true}" = true ]; then
    for subscription in $(tr ',' ' ' <<< "${SASQUASH_SUBSCRIPTIONS:-$AZURE_SUBSCRIPTION_ID}"); do
        check "$subscription" "${rights[@]}" Microsoft.Authorization/roleDefinitions/write
    done
fi

# Storage in a region without zones refuses Standard_ZRS (RedundancyConfigurationNotAvailableInRegion), in the middle of a
# deployment. learn.microsoft.com, "Azure Storage redundancy".
redundancy=${SASQUASH_STORAGE_REDUNDANCY:-Standard_ZRS}
region=$(tr -d ' ' <<< "$AZURE_LOCATION" | tr '[:upper:]' '[:lower:]')
offered=$(limited 120 az storage sku list --only-show-errors --subscription "$AZURE_SUBSCRIPTION_ID" --output tsv \
    --query "[?kind=='StorageV2' && contains(locations, '$region')].name")
if ! grep -qx "$redundancy" <<< "$offered"; then
    problem "Storage accounts in $region cannot be $redundancy: the region has no zones, or the subscription may not use it.
  Either run: azd env set SASQUASH_STORAGE_REDUNDANCY Standard_LRS
  or choose another region: azd env set AZURE_LOCATION <region>"
fi
report
