#!/usr/bin/env bash
# Whether the region has what infra/ asks for; azd's hook `preprovision` runs it before it deploys.
#
# Storage in a region without zones refuses Standard_ZRS (RedundancyConfigurationNotAvailableInRegion), in the middle of a
# deployment. learn.microsoft.com, "Azure Storage redundancy".
set -euo pipefail

wanted=${SASQUASH_STORAGE_REDUNDANCY:-Standard_ZRS}
region=$(printf '%s' "${AZURE_LOCATION:?}" | tr -d ' ' | tr '[:upper:]' '[:lower:]')
offered=$(az storage sku list --only-show-errors --subscription "${AZURE_SUBSCRIPTION_ID:?}" --output tsv \
    --query "[?kind=='StorageV2' && contains(locations, '$region')].name")
if ! grep -qx "$wanted" <<< "$offered"; then
    echo "Storage accounts in $region cannot be $wanted: the region has no zones, or the subscription may not use it." >&2
    echo "Either run: azd env set SASQUASH_STORAGE_REDUNDANCY Standard_LRS" >&2
    echo "or choose another region: azd env set AZURE_LOCATION <region>" >&2
    exit 1
fi
