# probe.ps1 URL TENANT: asks the app for the fleet with a principal header that anybody could have written.
# Exit code 0: it was refused. 3: it was BELIEVED. 4: the app gave no answer that tells.
param([string]$url, [string]$tenant)
$ErrorActionPreference = 'Stop'

$claims = @(
    @{ typ = 'tid'; val = $tenant },
    @{ typ = 'oid'; val = '00000000-0000-0000-0000-00000000f0e6' },
    @{ typ = 'roles'; val = 'Fleet.Read' },
    @{ typ = 'roles'; val = 'Certificates.Renew' },
    @{ typ = 'roles'; val = 'Devices.Contain' }
)
$principal = @{ auth_typ = 'aad'; name_typ = 'name'; role_typ = 'roles'; claims = $claims } | ConvertTo-Json -Compress -Depth 4
$forged = [Convert]::ToBase64String([Text.Encoding]::UTF8.GetBytes($principal))
$headers = @{
    'X-MS-CLIENT-PRINCIPAL'     = $forged
    'X-MS-CLIENT-PRINCIPAL-ID'  = '00000000-0000-0000-0000-00000000f0e6'
    'X-MS-CLIENT-PRINCIPAL-IDP' = 'aad'
}

function StatusOf([string]$address) {
    try {
        $answer = Invoke-WebRequest -Uri $address -Headers $headers -SkipHttpErrorCheck -MaximumRedirection 0 -TimeoutSec 60 -ErrorAction SilentlyContinue
        return [int]$answer.StatusCode
    }
    catch {
        return 0
    }
}

# It only reads: a device that there is not would be 404 to a caller who was let in.
function Judge([string]$path) {
    $tries = if ($env:PROBE_TRIES) { [int]$env:PROBE_TRIES } else { 40 }
    $seconds = if ($env:PROBE_SECONDS) { [int]$env:PROBE_SECONDS } else { 10 }
    for ($try = 1; $try -le $tries; $try++) {
        $status = StatusOf "$url$path"
        if ($status -in 401, 403, 302) {
            Write-Host "refused ($status): $path"
            return
        }
        if ($status -ne 0 -and $status -lt 500) {
            [Console]::Error.WriteLine("BELIEVED ($status): $path")
            exit 3
        }
        if ($try -lt $tries) {
            Start-Sleep -Seconds $seconds
        }
    }
    [Console]::Error.WriteLine("no answer that tells ($status): $path")
    exit 4
}

foreach ($path in '/api/devices', '/api/devices/no-such-device', '/api/fleet/summary') {
    Judge $path
}
exit 0
