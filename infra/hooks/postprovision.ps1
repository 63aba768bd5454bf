# After the deployment: lets the app prove its registration without a secret, admits whoever deployed, has the issuing
# CA synchronized to the hub, and makes the enrollment group where there is an onboarding CA.
. "$PSScriptRoot/common.ps1"

$graph = 'https://graph.microsoft.com/v1.0'
$arm = 'https://management.azure.com'
$dpsAudience = 'https://azure-devices-provisioning.net'
$adrApi = '2026-03-01-preview'
$dpsApi = '2025-07-01-preview'

function TrustTheIdentity {
    $subject = az ad app federated-credential list --id $env:AUTH_CLIENT_ID --query "[?name=='fleetcert'].subject" --output tsv
    Check 'the federated credentials of the app registration cannot be read'
    if ($subject -eq $env:FLEETCERT_APP_PRINCIPAL_ID) {
        return
    }
    $document = Filled 'federated-credential.json' @{ tenant = $env:AZURE_TENANT_ID; principal = $env:FLEETCERT_APP_PRINCIPAL_ID }
    if (-not $subject) {
        az ad app federated-credential create --id $env:AUTH_CLIENT_ID --parameters "@$document" --output none
    }
    else {
        az ad app federated-credential update --id $env:AUTH_CLIENT_ID --federated-credential-id fleetcert --parameters "@$document" --output none
    }
    Check 'the federated credential cannot be written'
    Say "the app's identity now proves the registration"
}

# Only callers that were given a role get a token at all.
function AdmitOnlyWhomWasGivenARole {
    az ad app update --id $env:AUTH_CLIENT_ID --web-redirect-uris "https://$env:FLEETCERT_APP_HOSTNAME/.auth/login/aad/callback"
    Check 'the redirect address cannot be set'
    az ad sp update --id $env:AUTH_CLIENT_ID --set appRoleAssignmentRequired=true
    Check 'the assignment of roles cannot be required'
}

function AdmitTheDeployer {
    if ($env:ADMIT_DEPLOYER -and $env:ADMIT_DEPLOYER -ne 'true') {
        return
    }
    $me = az ad signed-in-user show --query id --output tsv 2>$null
    if ($LASTEXITCODE -ne 0) {
        return
    }
    $application = az ad sp show --id $env:AUTH_CLIENT_ID --query id --output tsv
    Check 'the registration is not known in this tenant'
    $assignments = "$graph/servicePrincipals/$application/appRoleAssignedTo"
    $has = @(az rest --method get --url $assignments --query "value[?principalId=='$me'].appRoleId" --output tsv)
    Check 'the assignments of roles cannot be read'
    foreach ($role in @(az ad sp show --id $env:AUTH_CLIENT_ID --query "appRoles[].id" --output tsv)) {
        if ($has -notcontains $role) {
            $body = Join-Path $work 'role.json'
            @{ principalId = $me; resourceId = $application; appRoleId = $role } | ConvertTo-Json | Set-Content -Path $body -Encoding utf8NoBOM
            az rest --method post --url $assignments --body "@$body" --output none
            Check "the app role $role cannot be assigned"
            Say "you were given the app role $role"
        }
    }
}

function SynchronizeAuthorities {
    Say 'having the issuing CA synchronized to the hub'
    az rest --method post --url "$arm$env:FLEETCERT_ADR_NAMESPACE_ID/credentials/default/synchronize?api-version=$adrApi" --output none
    Check 'the issuing CA cannot be synchronized'
    $there = Patiently 20 {
        $count = az iot hub certificate list --hub-name $env:FLEETCERT_HUB_NAME --resource-group $env:FLEETCERT_IOT_RESOURCE_GROUP --query "length(value)" --output tsv
        [int]$count -gt 0
    }
    if (-not $there) {
        Fail "the hub has no issuing CA yet: wait a little, then 'azd hooks run postprovision'"
    }
    Say "the hub $env:FLEETCERT_HUB_NAME trusts the issuing CA"
}

function UploadOnboardingCa([string]$file, [string]$name) {
    az iot dps certificate show --dps-name $env:FLEETCERT_DPS_NAME --resource-group $env:FLEETCERT_IOT_RESOURCE_GROUP --name $name --output none 2>$null
    if ($LASTEXITCODE -eq 0) {
        return
    }
    az iot dps certificate create --dps-name $env:FLEETCERT_DPS_NAME --resource-group $env:FLEETCERT_IOT_RESOURCE_GROUP --name $name --path $file --verified true --output none
    Check 'the onboarding CA cannot be uploaded to DPS'
    Say "DPS has the onboarding CA $file under the name $name"
}

function MakeEnrollmentGroup([string]$caName) {
    $group = if ($env:ENROLLMENT_GROUP) { $env:ENROLLMENT_GROUP } else { 'fleetcert' }
    $groupUrl = "https://$env:FLEETCERT_DPS_HOSTNAME/enrollmentGroups/${group}?api-version=$dpsApi"
    az rest --method get --resource $dpsAudience --url $groupUrl --output none 2>$null
    if ($LASTEXITCODE -eq 0) {
        Say "the enrollment group $group is there and left as it is"
        return
    }
    $document = Filled 'enrollment-group.json' @{ group = $group; ca = $caName; policy = $env:FLEETCERT_ADR_POLICY; hub = "$env:FLEETCERT_HUB_NAME.azure-devices.net" }
    $made = Patiently 20 {
        az rest --method put --resource $dpsAudience --url $groupUrl --output none --body "@$document"
        $LASTEXITCODE -eq 0
    }
    if (-not $made) {
        Fail 'DPS does not let you make the enrollment group: you need Device Provisioning Service Data Contributor'
    }
    Say "made the enrollment group ${group}: devices with certificates of the onboarding CA may register"
}

function Onboard {
    $file = if ($env:ONBOARDING_CA) { $env:ONBOARDING_CA } else { 'certs/ca/intermediate-ca.pem' }
    $name = if ($env:ONBOARDING_CA_NAME) { $env:ONBOARDING_CA_NAME } else { 'fleetcert-onboarding' }
    if (-not (Test-Path $file)) {
        Say "no onboarding CA at $file, so no device may register yet: see docs/deploy.md, then 'azd hooks run postprovision'"
        return
    }
    UploadOnboardingCa $file $name
    MakeEnrollmentGroup $name
}

try {
    TrustTheIdentity
    AdmitOnlyWhomWasGivenARole
    AdmitTheDeployer
    if ($env:FLEETCERT_MAKES_IOT -eq 'true') {
        SynchronizeAuthorities
        Onboard
    }
    else {
        Say 'the hub and DPS were there before: docs/deploy.md says which routes to add to them'
    }
}
finally {
    Remove-Item -Recurse -Force $work
}
