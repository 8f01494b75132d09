<#
.SYNOPSIS
azd's hook `postprovision` on Windows: prints the administrators' steps that are still missing. See postprovision.sh.
#>
. (Join-Path $PSScriptRoot 'limited.ps1')

# A preview of a new environment has deployed nothing yet.
if (-not $env:SASQUASH_RESPONDER_PRINCIPAL_ID) { exit 0 }

$graph = 'https://graph.microsoft.com/v1.0'
$name = $env:AZURE_ENV_NAME
$client = $env:SASQUASH_API_CLIENT_ID
$left = [System.Collections.Generic.List[string]]::new()

# The ids of a collection in Graph; fails if this person may not read it.
function Get-Id([string] $Path) {
    Invoke-Az 60 @('rest', '--only-show-errors', '--url', "$graph/$Path", '--query', 'value[].id', '--output', 'tsv')
}

$assign = "assign its roles to people (Entra ID, Enterprise applications, Sasquash $name)."
if (-not $client) {
    $left.Add("Somebody who may register applications: scripts/create-registration.sh $name, then azd provision. Until then the API refuses every call but health.")
} else {
    $sp = Invoke-Az 60 @('ad', 'sp', 'show', '--id', $client, '--query', 'id', '--output', 'tsv', '--only-show-errors')
    $people = if ($sp.Code -eq 0) { Get-Id "servicePrincipals/$($sp.Lines[0])/appRoleAssignedTo" }
    if (-not $people -or $people.Code -ne 0) {
        $left.Add("An owner of the registration, unless it is done: $assign")
    } elseif ($people.Lines.Count -eq 0) {
        $left.Add("An owner of the registration: $assign Nobody has one.")
    }
}
$principal = $env:SASQUASH_RESPONDER_PRINCIPAL_ID
$grant = "SASQUASH_RESPONDER_PRINCIPAL_ID=$principal scripts/grant-graph.sh $name"
$rights = Get-Id "servicePrincipals/$principal/appRoleAssignments"
if ($rights.Code -ne 0) {
    $left.Add("An administrator of Entra ID, unless it is done: $grant")
} elseif ($rights.Lines.Count -eq 0) {
    $left.Add("An administrator of Entra ID, since the responder has no right in Graph: $grant")
}
$mailbox = if ($env:SASQUASH_MAIL_SENDER) { $env:SASQUASH_MAIL_SENDER } else { $env:SASQUASH_SECURITY_MAILBOX }
$left.Add("An administrator of Exchange, unless it is done (it cannot be seen from here): scripts/grant-exchange.ps1 -Environment $name -ClientId $env:SASQUASH_RESPONDER_CLIENT_ID -PrincipalId $principal -Mailbox $mailbox")

Write-Output 'Steps of administrators (docs/deploy.md):'
$left | ForEach-Object { Write-Output "- $_" }
exit 0
