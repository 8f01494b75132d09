<#
.SYNOPSIS
Whether the region has what infra/ asks for: check-region.sh for Windows. azd's hook `preprovision` runs it.
#>
$ErrorActionPreference = 'Stop'

$wanted = if ($env:SASQUASH_STORAGE_REDUNDANCY) { $env:SASQUASH_STORAGE_REDUNDANCY } else { 'Standard_ZRS' }
$region = $env:AZURE_LOCATION.Replace(' ', '').ToLowerInvariant()
$offered = az storage sku list --only-show-errors --subscription $env:AZURE_SUBSCRIPTION_ID --output tsv `
    --query "[?kind=='StorageV2' && contains(locations, '$region')].name"
if ($LASTEXITCODE -ne 0) {
    exit $LASTEXITCODE
}
if ($offered -notcontains $wanted) {
    [Console]::Error.WriteLine("Storage accounts in $region cannot be ${wanted}: the region has no zones, or the subscription may not use it.")
    [Console]::Error.WriteLine('Either run: azd env set SASQUASH_STORAGE_REDUNDANCY Standard_LRS')
    [Console]::Error.WriteLine('or choose another region: azd env set AZURE_LOCATION <region>')
    exit 1
}
