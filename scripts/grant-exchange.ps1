<#
.SYNOPSIS
Lets the responder's identity send mail from one mailbox, and from no other: RBAC for Applications in Exchange Online.

.DESCRIPTION
For Exchange administrators; run once per environment (again for another mailbox), after the first `azd up` (docs/deploy.md). Do not grant
Graph's Mail.Send in Entra ID as well: grants add up, and that one covers every mailbox. It can take two hours to apply.
learn.microsoft.com, "Role Based Access Control for Applications in Exchange Online".

.EXAMPLE
Connect-ExchangeOnline
scripts/grant-exchange.ps1 -Environment prod -ClientId <SASQUASH_RESPONDER_CLIENT_ID> `
    -PrincipalId <SASQUASH_RESPONDER_PRINCIPAL_ID> -Mailbox sasquash@contoso.com
#>
param(
    [Parameter(Mandatory)] [string] $Environment,
    [Parameter(Mandatory)] [guid] $ClientId,
    [Parameter(Mandatory)] [guid] $PrincipalId,
    [Parameter(Mandatory)] [string] $Mailbox
)
$ErrorActionPreference = 'Stop'

$name = "Sasquash $Environment"
# By default Get-EXOMailbox returns no ExchangeGuid (MicrosoftDocs/office-docs-powershell, cmdlet-property-sets: Minimum).
$box = Get-EXOMailbox -Identity $Mailbox -Properties ExchangeGuid
if (-not $box.ExchangeGuid) { throw "Exchange returned no ExchangeGuid for $Mailbox. Nothing was granted." }
$filter = "ExchangeGuid -eq '$($box.ExchangeGuid)'"
if (-not (Get-ServicePrincipal -Identity $PrincipalId -ErrorAction SilentlyContinue)) {
    New-ServicePrincipal -AppId $ClientId -ObjectId $PrincipalId -DisplayName $name | Out-Null
}
if (Get-ManagementScope -Identity $name -ErrorAction SilentlyContinue) {
    Set-ManagementScope -Identity $name -RecipientRestrictionFilter $filter | Out-Null
} else {
    New-ManagementScope -Name $name -RecipientRestrictionFilter $filter | Out-Null
}
if (-not (Get-ManagementRoleAssignment -Identity $name -ErrorAction SilentlyContinue)) {
    New-ManagementRoleAssignment -Name $name -App $PrincipalId -Role 'Application Mail.Send' -CustomResourceScope $name | Out-Null
}
Test-ServicePrincipalAuthorization -Identity $PrincipalId -Resource $Mailbox | Format-Table RoleName, InScope
