<#
.SYNOPSIS
azd's hook `postdeploy` on Windows: the event subscription, then what shows whether the deployment works. See postdeploy.sh.
#>
. (Join-Path $PSScriptRoot 'limited.ps1')

$made = Invoke-Az 900 @('deployment', 'group', 'create', '--only-show-errors', '--output', 'none', '--name', 'event-subscription',
    '--subscription', $env:AZURE_SUBSCRIPTION_ID, '--resource-group', $env:AZURE_RESOURCE_GROUP,
    '--template-file', 'infra/event-subscription.bicep', '--parameters', "topicName=$env:SASQUASH_TOPIC_NAME",
    "responderName=$env:SASQUASH_RESPONDER_NAME", "storageName=$env:SASQUASH_STORAGE_NAME",
    "queueName=$env:SASQUASH_FINDINGS_QUEUE")
if ($made.Code -ne 0) {
    [Console]::Error.WriteLine($made.Errors)
    exit $made.Code
}
Write-Output 'Findings reach the responder: the event subscription is deployed.'

# The rest is information.
$api = $env:SASQUASH_API
$intake = $env:SASQUASH_INTAKE -replace '/intake$', ''
$name = $env:AZURE_ENV_NAME
$client = $env:SASQUASH_API_CLIENT_ID

function Get-Text([string] $Uri, [hashtable] $Headers = @{}) {
    (Invoke-WebRequest -Uri $Uri -Headers $Headers -TimeoutSec 30 -UseBasicParsing).Content
}

function Show-Health([string] $App, [string] $Address) {
    foreach ($try in 1..4) {
        try {
            Get-Text "$Address/health" | Out-Null
            Write-Output "${App}: healthy ($Address/health)"
            return
        } catch {
            if ($try -lt 4) { Start-Sleep -Seconds 5 }
        }
    }
    Write-Output "${App}: NOT HEALTHY ($Address/health). After a first deployment rights can take ten minutes: try again. Then docs/deploy.md#if-the-build-fails."
}

Show-Health 'Responder' $api
if ($intake -ne $api) { Show-Health 'Intake' $intake }

# The console's address is known now: people sign in there from the browser.
if ($client) {
    $known = Invoke-Az 60 @('ad', 'app', 'show', '--id', $client, '--query', 'spa.redirectUris', '--output', 'tsv', '--only-show-errors')
    if ($known.Code -ne 0) {
        Write-Output "An owner of the registration adds the console's address: SASQUASH_API=$api scripts/create-registration.sh $name"
    } elseif ($known.Lines -notcontains "$api/desk") {
        $file = New-TemporaryFile
        ConvertTo-Json -Compress -Depth 5 @{ spa = @{ redirectUris = @("$api/desk") + @($known.Lines | Where-Object { $_ }) } } |
            Set-Content -Path $file
        $app = Invoke-Az 60 @('ad', 'app', 'show', '--id', $client, '--query', 'id', '--output', 'tsv', '--only-show-errors')
        $changed = Invoke-Az 60 @('rest', '--only-show-errors', '--output', 'none', '--method', 'patch',
            '--url', "https://graph.microsoft.com/v1.0/applications/$($app.Lines -join '')",
            '--headers', 'Content-Type=application/json', '--body', "@$file")
        Remove-Item $file
        if ($changed.Code -eq 0) {
            Write-Output 'The registration allows sign-in at the console.'
        } else {
            Write-Output "An owner of the registration adds the console's address: SASQUASH_API=$api scripts/create-registration.sh $name"
        }
    }
}

Write-Output "Console: $api/desk"
if (-not $client) {
    Write-Output "Nobody can sign in yet: scripts/create-registration.sh $name, then azd provision."
    exit 0
}
Write-Output "A token: $env:SASQUASH_TOKEN_COMMAND"

$token = Invoke-Az 60 @('account', 'get-access-token', '--resource', "api://$client", '--query', 'accessToken', '--output', 'tsv', '--only-show-errors')
try {
    if ($token.Code -ne 0) { throw 'no token' }
    $read = Get-Text "$api/readiness" @{ Authorization = "Bearer $($token.Lines -join '')" } | ConvertFrom-Json
    $ready = @($read.accounts | Where-Object ready).Count
    $drill = if ($read.drills) { $read.drills[0].outcome } else { 'none yet, the first one runs within 15 minutes' }
    Write-Output "Readiness: $ready accounts ready, $($read.accounts.Count - $ready) not; latest drill: $drill."
} catch {
    Write-Output "Readiness was not read: this account has no role of the registration yet, or gets no token for it. GET $api/readiness"
}
exit 0
