# After the app was deployed: tries to get in with a forged principal, and stops the app if it is let in.
. "$PSScriptRoot/common.ps1"

$url = "https://$env:FLEETCERT_APP_HOSTNAME"

function StopTheApp {
    az functionapp stop --name $env:FLEETCERT_APP_NAME --resource-group $env:AZURE_RESOURCE_GROUP
    Check 'THE APP BELIEVED A FORGED PRINCIPAL, AND COULD NOT BE STOPPED: stop it by hand'
    Fail 'THE APP BELIEVED A FORGED PRINCIPAL AND WAS STOPPED. App Service Authentication is not in front of it; azd provision puts it there'
}

try {
    Say 'trying to get in with a forged principal'
    pwsh -NoProfile -File (Join-Path $hooks 'probe.ps1') $url $env:AZURE_TENANT_ID
    switch ($LASTEXITCODE) {
        0 { Say 'a forged principal is refused' }
        3 { StopTheApp }
        default { Fail "$url gave no answer that tells whether it believes a forged principal: look at its log, then 'azd hooks run postdeploy'" }
    }
    Say "the API: $url/api (health: $url/api/health)"
    Say "the dashboard: $url/api/dashboard"
    Say "devices register with the id scope $env:FLEETCERT_DPS_ID_SCOPE"
}
finally {
    Remove-Item -Recurse -Force $work
}
