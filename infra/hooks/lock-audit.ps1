# lock-audit.ps1 lock: locks the retention policy of the audit. NOBODY CAN UNDO THIS, and the storage account can not be
# deleted while it holds a line that is younger than the retention. Without "lock" it tells how things stand.
param([string]$word)
. "$PSScriptRoot/common.ps1"

function Policy([string]$member) {
    $value = az storage container immutability-policy show --account-name $env:FLEETCERT_AUDIT_STORAGE --container-name $env:FLEETCERT_AUDIT_CONTAINER --query $member --output tsv
    Check 'the policy cannot be read'
    return $value
}

try {
    $state = Policy 'state'
    Say "the audit is kept for $(Policy 'immutabilityPeriodSinceCreationInDays') days; its policy is $state"
    if ($state -eq 'Unlocked' -and $word -eq 'lock') {
        $etag = Policy 'etag'
        az storage container immutability-policy lock --account-name $env:FLEETCERT_AUDIT_STORAGE --container-name $env:FLEETCERT_AUDIT_CONTAINER --if-match $etag --output none
        Check 'the policy cannot be locked'
        $state = Policy 'state'
        Say "the policy is $state now"
    }
    if ($state -eq 'Locked') {
        Remember 'AUDIT_LOCKED' 'true'
    }
}
finally {
    Remove-Item -Recurse -Force $work
}
