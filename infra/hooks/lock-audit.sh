#!/bin/sh
# lock-audit.sh lock: locks the retention policy of the audit. NOBODY CAN UNDO THIS, and the storage account can not be
# deleted while it holds a line that is younger than the retention. Without `lock` it tells how things stand.
set -eu
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

policy() {
  az storage container immutability-policy show --account-name "$FLEETCERT_AUDIT_STORAGE" --container-name "$FLEETCERT_AUDIT_CONTAINER" --query "$1" --output tsv
}

state=$(policy state)
days=$(policy immutabilityPeriodSinceCreationInDays)
say "the audit is kept for $days days; its policy is $state"
if [ "$state" = Unlocked ] && [ "${1-}" = lock ]; then
  az storage container immutability-policy lock --account-name "$FLEETCERT_AUDIT_STORAGE" --container-name "$FLEETCERT_AUDIT_CONTAINER" --if-match "$(policy etag)" --output none
  state=$(policy state)
  say "the policy is $state now"
fi
if [ "$state" = Locked ]; then
  remember AUDIT_LOCKED true
fi
