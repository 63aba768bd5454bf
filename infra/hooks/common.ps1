# What the hooks share. They run in the project's folder, with azd's environment; each can be run again at any time.

$ErrorActionPreference = 'Stop'
$hooks = $PSScriptRoot
$work = New-Item -ItemType Directory -Path (Join-Path ([IO.Path]::GetTempPath()) ([Guid]::NewGuid()))

function Say([string]$text) {
    Write-Host "fleetcert: $text"
}

function Fail([string]$text) {
    [Console]::Error.WriteLine("fleetcert: $text")
    exit 1
}

# Native commands do not stop a script by themselves.
function Check([string]$what) {
    if ($LASTEXITCODE -ne 0) {
        Fail $what
    }
}

function Remember([string]$name, [string]$value) {
    if ([Environment]::GetEnvironmentVariable($name) -ne $value) {
        azd env set $name $value
        Check "azd env set $name failed"
        [Environment]::SetEnvironmentVariable($name, $value)
    }
}

# The path of a copy of a template with every {name} replaced.
function Filled([string]$template, [hashtable]$values) {
    $text = Get-Content -Raw -Path (Join-Path $hooks $template)
    foreach ($name in $values.Keys) {
        $text = $text.Replace("{$name}", $values[$name])
    }
    $copy = Join-Path $work $template
    Set-Content -Path $copy -Value $text -Encoding utf8NoBOM
    return $copy
}

# A new role needs minutes until every service heeds it.
function Patiently([int]$tries, [scriptblock]$attempt) {
    $seconds = if ($env:PATIENCE_SECONDS) { [int]$env:PATIENCE_SECONDS } else { 15 }
    for ($try = 1; $try -le $tries; $try++) {
        if (& $attempt) {
            return $true
        }
        if ($try -lt $tries) {
            Start-Sleep -Seconds $seconds
        }
    }
    return $false
}
