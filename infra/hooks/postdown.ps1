# After azd down: removes what is in no resource group. The custom roles always, the app registration if a hook made it.
. "$PSScriptRoot/common.ps1"

function RemoveRoles {
    $roles = @(az role definition list --custom-role-only true --query "[?starts_with(roleName, 'fleetcert ') && contains(roleName, '($env:AZURE_ENV_NAME ')].name" --output tsv)
    Check 'custom roles cannot be listed'
    foreach ($role in $roles) {
        foreach ($assignment in @(az role assignment list --all --role $role --query "[].id" --output tsv)) {
            az role assignment delete --ids $assignment
            Check "the role assignment $assignment cannot be removed"
        }
        az role definition delete --name $role
        Check "the custom role $role cannot be removed"
        Say "removed the custom role $role"
    }
}

function RemoveRegistration {
    if ($env:AUTH_APP_MADE -ne 'true') {
        Say 'the app registration was there before, and stays'
        return
    }
    az ad app show --id $env:AUTH_CLIENT_ID --output none 2>$null
    if ($LASTEXITCODE -eq 0) {
        az ad app delete --id $env:AUTH_CLIENT_ID
        Check 'the app registration cannot be removed'
        Say "removed the app registration $env:AUTH_CLIENT_ID; it can be restored for 30 days"
    }
}

try {
    RemoveRoles
    RemoveRegistration
}
finally {
    Remove-Item -Recurse -Force $work
}
