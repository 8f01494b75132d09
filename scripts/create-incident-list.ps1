<#
.SYNOPSIS
Creates the SharePoint list for incidents, and lets the responder's identity write to its site.

.DESCRIPTION
For SharePoint administrators, after the first `azd up` (docs/incidents.md). In PowerShell with Microsoft.Graph, because the
Azure CLI gets no token for SharePoint: none of SharePoint's scopes is among those of its application, for anybody.
Safe to run again: what is there stays, and what is missing is added. A step that fails does not stop those that do
not need it. What failed is named at the end.

Sites.Manage.All is for the list and its columns, Sites.FullControl.All for the permission on the site
(learn.microsoft.com/graph/api: list-create, site-post-permissions). The first sign-in asks to consent to them.

.EXAMPLE
Install-Module Microsoft.Graph.Authentication -Scope CurrentUser
scripts/create-incident-list.ps1 -Environment prod -ClientId <SASQUASH_RESPONDER_CLIENT_ID> -Site contoso.sharepoint.com:/sites/security
#>
param(
    [Parameter(Mandatory)] [string] $Environment,
    [Parameter(Mandatory)] [guid] $ClientId,
    [Parameter(Mandatory)] [ValidatePattern('^[^:/]+(:/.+)?$')] [string] $Site
)
$ErrorActionPreference = 'Stop'

$graph = 'https://graph.microsoft.com/v1.0'
$wanted = Get-Content -Raw -Path (Join-Path $PSScriptRoot 'incident-list.json') | ConvertFrom-Json
$failed = [System.Collections.Generic.List[string]]::new()

function Invoke-Graph([string] $Method, [string] $Path, $Body) {
    $request = @{ Method = $Method; Uri = if ($Path -like 'https:*') { $Path } else { "$graph/$Path" }; OutputType = 'PSObject' }
    if ($Body) {
        $request.Body = ConvertTo-Json -InputObject $Body -Depth 10 -Compress
        $request.ContentType = 'application/json'
    }
    Invoke-MgGraphRequest @request
}

# All pages of a collection.
function Get-All([string] $Path) {
    while ($Path) {
        $page = Invoke-Graph GET $Path
        $page.value
        $Path = $page.'@odata.nextLink'
    }
}

# What Graph said, in one line: its code and message where it sent them.
function Get-Reason($Record) {
    try {
        $problem = ($Record.ErrorDetails.Message | ConvertFrom-Json).error
        if ($problem.code) { return "$($problem.code): $($problem.message)" }
    } catch {
        Write-Verbose 'The answer is not the JSON of an error.'
    }
    ($Record.Exception.Message -split "`n")[0]
}

# Runs a step; returns its result, and $null if it failed.
function Invoke-Step([string] $Name, [scriptblock] $Do) {
    try {
        & $Do
    } catch {
        Write-Host "FAILED: $Name. $(Get-Reason $_)"
        $failed.Add($Name)
    }
}

function Complete-Run {
    if ($failed.Count -gt 0) {
        Write-Host "Not done: $($failed -join '; '). Run this again once the cause is removed; what is done stays."
        exit 1
    }
}

# A value of azd's environment: set here if this checkout has the environment, else the command to set it.
function Save-Value([string] $Name, [string] $Value) {
    $ErrorActionPreference = 'Continue' # what azd writes to standard error is no error of this script
    $root = Split-Path $PSScriptRoot
    # azd would create an environment that it does not have.
    if ((Test-Path (Join-Path $root ".azure/$Environment")) -and (Get-Command azd -ErrorAction SilentlyContinue)) {
        azd env set $Name $Value --environment $Environment --cwd $root --no-prompt 2>&1 | Out-Null
        if ($LASTEXITCODE -eq 0) {
            Write-Host "Set $Name in azd's environment $Environment."
            return
        }
    }
    Write-Host "Run where azd's environment is: azd env set $Name '$Value'"
}

Connect-MgGraph -Scopes 'Sites.Manage.All', 'Sites.FullControl.All' -NoWelcome | Out-Null

$siteId = Invoke-Step "find the site $Site" { (Invoke-Graph GET "sites/${Site}?`$select=id").id }
Complete-Run # nothing can be done without it
Write-Host "The site is $siteId."

$listId = Invoke-Step 'create the list' {
    $known = @(Get-All "sites/$siteId/lists?`$select=id,displayName" | Where-Object displayName -EQ $wanted.displayName)
    if ($known.Count -gt 0) {
        Write-Host "The list $($wanted.displayName) exists."
        $known[0].id
    } else {
        (Invoke-Graph POST "sites/$siteId/lists" $wanted).id
        Write-Host "Created the list $($wanted.displayName)."
    }
}
if ($listId) {
    Invoke-Step 'read the columns' {
        $columns = @(Get-All "sites/$siteId/lists/$listId/columns?`$select=name").name
        foreach ($column in @($wanted.columns | Where-Object name -NotIn $columns)) {
            Invoke-Step "add the column $($column.name)" {
                Invoke-Graph POST "sites/$siteId/lists/$listId/columns" $column | Out-Null
                Write-Host "Added the column $($column.name)."
            }
        }
    }
}

Invoke-Step 'let the responder write to the site' {
    # The list of permissions may leave their roles out; each by itself has them.
    $known = @(Get-All "sites/$siteId/permissions" | Where-Object { $_.grantedToIdentitiesV2.application.id -contains "$ClientId" })
    $roles = @($known | ForEach-Object { (Invoke-Graph GET "sites/$siteId/permissions/$($_.id)").roles })
    if (@($roles | Where-Object { $_ -in 'write', 'manage', 'fullcontrol', 'owner' }).Count -gt 0) {
        Write-Host 'The responder may write to the site already.'
    } elseif ($known.Count -gt 0) {
        Invoke-Graph PATCH "sites/$siteId/permissions/$($known[0].id)" @{ roles = @('write') } | Out-Null
        Write-Host 'The responder, which could only read the site, may write to it now.'
    } else {
        $application = @{ id = "$ClientId"; displayName = "Sasquash $Environment" }
        $body = @{ roles = @('write'); grantedToIdentities = @(@{ application = $application }) }
        Invoke-Graph POST "sites/$siteId/permissions" $body | Out-Null
        Write-Host 'The responder may write to the site.'
    }
}

if ($listId) {
    Save-Value SASQUASH_INCIDENT_SITE $siteId
    Save-Value SASQUASH_INCIDENT_LIST $listId
}
Complete-Run
Write-Host 'Next: scripts/grant-graph.sh (Sites.Selected), then azd provision.'
