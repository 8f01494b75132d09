# For the hooks: the Azure CLI with a limit of time. Dot-source this file.

# Runs az; returns its exit code, its lines of output, and its errors as text. It is ended after that many seconds.
function Invoke-Az([int] $Seconds, [string[]] $Arguments) {
    $shell = [powershell]::Create()
    try {
        [void] $shell.AddScript('param($Given) $ErrorActionPreference = "Continue"; & az @Given 2>&1; $LASTEXITCODE').AddArgument($Arguments)
        $run = $shell.BeginInvoke()
        if (-not $run.AsyncWaitHandle.WaitOne($Seconds * 1000)) {
            # With all that az has started, or its output would stay open. Windows PowerShell 5 shows no parents, and leaves it.
            Get-Process | Where-Object { $_.Parent.Id -eq $PID } | ForEach-Object { $_.Kill($true) }
            [void] $shell.BeginStop($null, $null)
            return [pscustomobject] @{ Code = 124; Lines = @(); Errors = "No answer in time: az was ended." }
        }
        $said = @($shell.EndInvoke($run))
        $errors = @($said | Where-Object { $_ -is [System.Management.Automation.ErrorRecord] })
        $lines = @($said | Select-Object -SkipLast 1 | Where-Object { $_ -is [string] })
        [pscustomobject] @{ Code = [int] $said[-1]; Lines = $lines; Errors = ($errors -join [Environment]::NewLine) }
    } finally {
        if ($run.IsCompleted) { $shell.Dispose() }
    }
}
