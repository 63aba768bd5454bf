# Before the deployment: what Bicep must be told, and what lives in Entra, where Bicep does not reach.
# Makes an app registration (the callers' audience and roles); finds the first-party application IoT Hub.
. "$PSScriptRoot/common.ps1"

$iotHubApplication = '89d10474-74af-4874-99a7-c23c2f643083'
$graph = 'https://graph.microsoft.com/v1.0'

function SignIn {
    if (-not (Get-Command az -ErrorAction SilentlyContinue)) {
        Fail 'az is not on the path: install the Azure CLI'
    }
    az account show --output none 2>$null
    Check "run 'az login' first: the hooks use the Azure CLI beside azd"
    az account set --subscription $env:AZURE_SUBSCRIPTION_ID
    Check 'the subscription is not one of yours'
}

function CheckExisting {
    $given = @($env:EXISTING_IOTHUB_NAME, $env:EXISTING_DPS_NAME, $env:EXISTING_IOT_RESOURCE_GROUP | Where-Object { $_ }).Count
    if ($given -ne 0 -and $given -ne 3) {
        Fail 'set EXISTING_IOTHUB_NAME, EXISTING_DPS_NAME and EXISTING_IOT_RESOURCE_GROUP, or none of them'
    }
}

function Register([string]$namespace) {
    $state = az provider show --namespace $namespace --query registrationState --output tsv
    Check "the resource provider $namespace cannot be read"
    if ($state -ne 'Registered') {
        Say "registering the resource provider $namespace; this takes some minutes"
        az provider register --namespace $namespace --wait
        Check "the resource provider $namespace cannot be registered"
    }
}

# Azure docs: IoT Hub with ADR, prerequisites: this application is a contributor of the hub's resource group.
function FindIotHubPrincipal {
    $principal = az ad sp show --id $iotHubApplication --query id --output tsv 2>$null
    if ($LASTEXITCODE -ne 0) {
        $principal = az ad sp create --id $iotHubApplication --query id --output tsv
        Check "the application IoT Hub ($iotHubApplication) is not in this tenant: ask who may add applications"
    }
    Remember 'IOTHUB_SP_OBJECT_ID' $principal
}

function FindOrMakeRegistration {
    $name = "fleetcert-$env:AZURE_ENV_NAME"
    if ($env:AUTH_CLIENT_ID) {
        return
    }
    $found = @(az ad app list --display-name $name --query "[?displayName=='$name'].appId" --output tsv)
    Check 'app registrations cannot be listed'
    if ($found.Count -gt 1) {
        Fail "several app registrations are called ${name}: 'azd env set AUTH_CLIENT_ID <client id>'"
    }
    if ($found.Count -eq 0) {
        Say "making the app registration $name"
        $found = @(az ad app create --display-name $name --sign-in-audience AzureADMyOrg --query appId --output tsv)
        Check "you may not register applications: have one made, then 'azd env set AUTH_CLIENT_ID <client id>'"
        Remember 'AUTH_APP_MADE' 'true'
    }
    else {
        Say "using the app registration $name"
    }
    Remember 'AUTH_CLIENT_ID' $found[0]
}

# One request each: Graph admits a client to a scope only once the scope is there.
function DescribeRegistration {
    $registration = "$graph/applications(appId='$env:AUTH_CLIENT_ID')"
    az rest --method patch --url $registration --body "@$(Filled 'app-registration.json' @{ clientId = $env:AUTH_CLIENT_ID })" --output none
    Check 'the app registration cannot be changed'
    az rest --method patch --url $registration --body "@$(Filled 'app-clients.json' @{})" --output none
    Check 'the app registration cannot be changed'
    az ad sp show --id $env:AUTH_CLIENT_ID --output none 2>$null
    if ($LASTEXITCODE -ne 0) {
        az ad sp create --id $env:AUTH_CLIENT_ID --output none
        Check 'the registration cannot be made known in this tenant'
    }
    Say "the app registration $env:AUTH_CLIENT_ID has the roles Fleet.Read, Certificates.Renew and Devices.Contain"
}

# Whoever deploys is paged unless ALERT_EMAIL says otherwise; an empty one says nobody.
function ChooseWhoIsPaged {
    if ($null -eq [Environment]::GetEnvironmentVariable('ALERT_EMAIL')) {
        $user = az account show --query user.name --output tsv
        Check 'the account cannot be read'
        if ($user -like '*@*') {
            Remember 'ALERT_EMAIL' $user
        }
    }
    if ($env:ALERT_EMAIL) {
        Say "alert rules page $env:ALERT_EMAIL"
    }
    else {
        Say "ALERT RULES PAGE NOBODY: 'azd env set ALERT_EMAIL you@example.com'"
    }
}

try {
    SignIn
    CheckExisting
    Register 'Microsoft.Devices'
    Register 'Microsoft.DeviceRegistry'
    if (-not $env:EXISTING_IOTHUB_NAME) {
        FindIotHubPrincipal
    }
    FindOrMakeRegistration
    DescribeRegistration
    ChooseWhoIsPaged
}
finally {
    Remove-Item -Recurse -Force $work
}
