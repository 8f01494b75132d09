<#
.SYNOPSIS
azd's hook `preprovision` on Windows: everything that would stop the deployment half-way, in one message. See preprovision.sh.
#>
$ErrorActionPreference = 'Stop'
. (Join-Path $PSScriptRoot 'limited.ps1')

$minimum = [version] '2.37.0' # `az ad` uses Microsoft Graph since then: "Microsoft Graph migration" of the Azure CLI
$problems = [System.Collections.Generic.List[string]]::new()
$subscription = $env:AZURE_SUBSCRIPTION_ID

function Exit-OnProblem {
    if ($problems.Count -gt 0) {
        [Console]::Error.WriteLine('Nothing was deployed. Before the next try:')
        $problems | ForEach-Object { [Console]::Error.WriteLine("- $_") }
        exit 1
    }
}

if (-not (Get-Command az -ErrorAction SilentlyContinue)) {
    $problems.Add('Install the Azure CLI: https://learn.microsoft.com/cli/azure/install-azure-cli')
    Exit-OnProblem
}
$version = Invoke-Az 60 @('version', '--output', 'json')
$installed = [version] (($version.Lines -join '' | ConvertFrom-Json).'azure-cli')
if ($installed -lt $minimum) {
    $problems.Add("Update the Azure CLI to $minimum or newer (it is $installed): az upgrade")
}
$account = Invoke-Az 60 @('account', 'show', '--subscription', $subscription, '--query', 'user.name', '--output', 'tsv', '--only-show-errors')
if ($account.Code -ne 0) {
    $problems.Add("Sign the Azure CLI in to subscription ${subscription}: az login ($($account.Errors))")
    Exit-OnProblem
}
$who = $account.Lines -join ''

# Adds a problem that names the permissions which the signed-in person lacks on a subscription. "Permissions - List".
function Test-Right([string] $On, [string[]] $Permissions) {
    $url = "/subscriptions/$On/providers/Microsoft.Authorization/permissions?api-version=2022-04-01"
    $read = Invoke-Az 60 @('rest', '--only-show-errors', '--url', $url, '--output', 'json')
    if ($read.Code -ne 0) {
        $problems.Add("The rights on subscription $On could not be read: $($read.Errors)")
        return
    }
    $roles = ($read.Lines -join '' | ConvertFrom-Json).value
    $lacking = $Permissions | Where-Object {
        $permission = $_ # -like ignores case, and * stands for any text
        -not ($roles | Where-Object {
                ($_.actions | Where-Object { $permission -like $_ }) -and -not ($_.notActions | Where-Object { $permission -like $_ })
            })
    }
    if ($lacking) {
        $problems.Add("$who lacks on subscription ${On}: $($lacking -join ' '). Owner has them, or Contributor with User Access Administrator.")
    }
}

$rights = @('Microsoft.Resources/deployments/write', 'Microsoft.Authorization/roleAssignments/write')
Test-Right $subscription (@('Microsoft.Resources/subscriptions/resourceGroups/write', 'Microsoft.Web/sites/write') + $rights)
if (-not $env:SASQUASH_GRANT_RIGHTS -or $env:SASQUASH_GRANT_RIGHTS -eq 'true') {
    $monitored = if ($env:SASQUASH_SUBSCRIPTIONS) { $env:SASQUASH_SUBSCRIPTIONS } else { $subscription }
    $monitored.Split(',') | ForEach-Object { Test-Right $_.Trim() ($rights + 'Microsoft.Authorization/roleDefinitions/write') }
}

$redundancy = if ($env:SASQUASH_STORAGE_REDUNDANCY) { $env:SASQUASH_STORAGE_REDUNDANCY } else { 'Standard_ZRS' }
$region = $env:AZURE_LOCATION.Replace(' ', '').ToLowerInvariant()
$offered = Invoke-Az 120 @('storage', 'sku', 'list', '--only-show-errors', '--subscription', $subscription, '--output', 'tsv',
    '--query', "[?kind=='StorageV2' && contains(locations, '$region')].name")
if ($offered.Code -ne 0) {
    $problems.Add("The kinds of storage in $region could not be read: $($offered.Errors)")
} elseif ($offered.Lines -notcontains $redundancy) {
    $problems.Add("Storage accounts in $region cannot be ${redundancy}: the region has no zones, or the subscription may not use it.
  Either run: azd env set SASQUASH_STORAGE_REDUNDANCY Standard_LRS
  or choose another region: azd env set AZURE_LOCATION <region>")
}
Exit-OnProblem
