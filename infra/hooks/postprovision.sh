#!/bin/sh
# After the deployment: lets the app prove its registration without a secret, admits whoever deployed, has the issuing
# CA synchronized to the hub, and makes the enrollment group where there is an onboarding CA.
set -eu
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

GRAPH=https://graph.microsoft.com/v1.0
ARM=https://management.azure.com
DPS_AUDIENCE=https://azure-devices-provisioning.net
ADR_API=2026-03-01-preview
DPS_API=2025-07-01-preview

trust_the_identity() {
  subject=$(az ad app federated-credential list --id "$AUTH_CLIENT_ID" --query "[?name=='fleetcert'].subject" --output tsv)
  [ "$subject" != "$FLEETCERT_APP_PRINCIPAL_ID" ] || return 0
  document=$(filled federated-credential.json "tenant=$AZURE_TENANT_ID" "principal=$FLEETCERT_APP_PRINCIPAL_ID")
  if [ -z "$subject" ]; then
    az ad app federated-credential create --id "$AUTH_CLIENT_ID" --parameters "@$document" --output none
  else
    az ad app federated-credential update --id "$AUTH_CLIENT_ID" --federated-credential-id fleetcert --parameters "@$document" --output none
  fi
  say "the app's identity now proves the registration"
}

# Only callers that were given a role get a token at all.
admit_only_whom_was_given_a_role() {
  az ad app update --id "$AUTH_CLIENT_ID" --web-redirect-uris "https://$FLEETCERT_APP_HOSTNAME/.auth/login/aad/callback"
  az ad sp update --id "$AUTH_CLIENT_ID" --set appRoleAssignmentRequired=true
}

admit_the_deployer() {
  [ "${ADMIT_DEPLOYER-true}" = true ] || return 0
  me=$(az ad signed-in-user show --query id --output tsv 2>/dev/null) || return 0
  application=$(az ad sp show --id "$AUTH_CLIENT_ID" --query id --output tsv)
  assignments="$GRAPH/servicePrincipals/$application/appRoleAssignedTo"
  has=$(az rest --method get --url "$assignments" --query "value[?principalId=='$me'].appRoleId" --output tsv)
  for role in $(az ad sp show --id "$AUTH_CLIENT_ID" --query "appRoles[].id" --output tsv); do
    case $has in
      *"$role"*) ;;
      *)
        printf '{"principalId":"%s","resourceId":"%s","appRoleId":"%s"}' "$me" "$application" "$role" >"$work/role.json"
        az rest --method post --url "$assignments" --body "@$work/role.json" --output none
        say "you were given the app role $role"
        ;;
    esac
  done
}

hub_has_an_issuing_ca() {
  count=$(az iot hub certificate list --hub-name "$FLEETCERT_HUB_NAME" --resource-group "$FLEETCERT_IOT_RESOURCE_GROUP" --query "length(value)" --output tsv)
  [ "${count:-0}" -gt 0 ]
}

synchronize_authorities() {
  say 'having the issuing CA synchronized to the hub'
  az rest --method post --url "$ARM$FLEETCERT_ADR_NAMESPACE_ID/credentials/default/synchronize?api-version=$ADR_API" --output none
  patiently 20 hub_has_an_issuing_ca ||
    fail "the hub has no issuing CA yet: wait a little, then 'azd hooks run postprovision'"
  say "the hub $FLEETCERT_HUB_NAME trusts the issuing CA"
}

upload_onboarding_ca() {
  az iot dps certificate show --dps-name "$FLEETCERT_DPS_NAME" --resource-group "$FLEETCERT_IOT_RESOURCE_GROUP" --name "$ca_name" --output none 2>/dev/null && return 0
  az iot dps certificate create --dps-name "$FLEETCERT_DPS_NAME" --resource-group "$FLEETCERT_IOT_RESOURCE_GROUP" --name "$ca_name" --path "$ca_file" --verified true --output none
  say "DPS has the onboarding CA $ca_file under the name $ca_name"
}

find_group() {
  az rest --method get --resource "$DPS_AUDIENCE" --url "$group_url" --output none 2>"$work/group.error"
}

make_group() {
  az rest --method put --resource "$DPS_AUDIENCE" --url "$group_url" --output none --body "@$document"
}

make_enrollment_group() {
  group=${ENROLLMENT_GROUP-fleetcert}
  group_url="https://$FLEETCERT_DPS_HOSTNAME/enrollmentGroups/$group?api-version=$DPS_API"
  if find_group; then
    say "the enrollment group $group is there and left as it is"
    return 0
  fi
  document=$(filled enrollment-group.json "group=$group" "ca=$ca_name" "policy=$FLEETCERT_ADR_POLICY" \
    "hub=$FLEETCERT_HUB_NAME.azure-devices.net")
  patiently 20 make_group || fail 'DPS does not let you make the enrollment group: you need Device Provisioning Service Data Contributor'
  say "made the enrollment group $group: devices with certificates of the onboarding CA may register"
}

onboard() {
  ca_file=${ONBOARDING_CA-certs/ca/intermediate-ca.pem}
  ca_name=${ONBOARDING_CA_NAME-fleetcert-onboarding}
  if [ ! -f "$ca_file" ]; then
    say "no onboarding CA at $ca_file, so no device may register yet: see docs/deploy.md, then 'azd hooks run postprovision'"
    return 0
  fi
  upload_onboarding_ca
  make_enrollment_group
}

trust_the_identity
admit_only_whom_was_given_a_role
admit_the_deployer
if [ "$FLEETCERT_MAKES_IOT" = true ]; then
  synchronize_authorities
  onboard
else
  say 'the hub and DPS were there before: docs/deploy.md says which routes to add to them'
fi
