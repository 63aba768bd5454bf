#!/bin/sh
# After azd down: removes what is in no resource group. The custom roles always, the app registration if a hook made it.
set -eu
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

remove_roles() {
  roles=$(az role definition list --custom-role-only true --query "[?starts_with(roleName, 'fleetcert ') && contains(roleName, '($AZURE_ENV_NAME ')].name" --output tsv)
  for role in $roles; do
    for assignment in $(az role assignment list --all --role "$role" --query "[].id" --output tsv); do
      az role assignment delete --ids "$assignment"
    done
    az role definition delete --name "$role"
    say "removed the custom role $role"
  done
}

remove_registration() {
  if [ "${AUTH_APP_MADE-}" != true ]; then
    say 'the app registration was there before, and stays'
  elif az ad app show --id "$AUTH_CLIENT_ID" --output none 2>/dev/null; then
    az ad app delete --id "$AUTH_CLIENT_ID"
    say "removed the app registration $AUTH_CLIENT_ID; it can be restored for 30 days"
  fi
}

remove_roles
remove_registration
