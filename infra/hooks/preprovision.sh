#!/bin/sh
# Before the deployment: what Bicep must be told, and what lives in Entra, where Bicep does not reach.
# Makes an app registration (the callers' audience and roles); finds the first-party application IoT Hub.
set -eu
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

IOT_HUB_APPLICATION=89d10474-74af-4874-99a7-c23c2f643083
GRAPH=https://graph.microsoft.com/v1.0

sign_in() {
  need az 'install the Azure CLI'
  az account show --output none 2>/dev/null || fail "run 'az login' first: the hooks use the Azure CLI beside azd"
  az account set --subscription "$AZURE_SUBSCRIPTION_ID"
}

check_existing() {
  given=0
  for value in "${EXISTING_IOTHUB_NAME-}" "${EXISTING_DPS_NAME-}" "${EXISTING_IOT_RESOURCE_GROUP-}"; do
    [ -z "$value" ] || given=$((given + 1))
  done
  [ "$given" -eq 0 ] || [ "$given" -eq 3 ] ||
    fail 'set EXISTING_IOTHUB_NAME, EXISTING_DPS_NAME and EXISTING_IOT_RESOURCE_GROUP, or none of them'
}

register() {
  state=$(az provider show --namespace "$1" --query registrationState --output tsv)
  if [ "$state" != Registered ]; then
    say "registering the resource provider $1; this takes some minutes"
    az provider register --namespace "$1" --wait
  fi
}

# Azure docs: IoT Hub with ADR, prerequisites: this application is a contributor of the hub's resource group.
find_iot_hub_principal() {
  principal=$(az ad sp show --id "$IOT_HUB_APPLICATION" --query id --output tsv 2>/dev/null) ||
    principal=$(az ad sp create --id "$IOT_HUB_APPLICATION" --query id --output tsv) ||
    fail "the application IoT Hub ($IOT_HUB_APPLICATION) is not in this tenant: ask who may add applications"
  remember IOTHUB_SP_OBJECT_ID "$principal"
}

find_or_make_registration() {
  name="fleetcert-$AZURE_ENV_NAME"
  [ -z "${AUTH_CLIENT_ID-}" ] || return 0
  found=$(az ad app list --display-name "$name" --query "[?displayName=='$name'].appId" --output tsv)
  case $(printf '%s' "$found" | grep -c .) in
    0)
      say "making the app registration $name"
      found=$(az ad app create --display-name "$name" --sign-in-audience AzureADMyOrg --query appId --output tsv) ||
        fail "you may not register applications: have one made, then 'azd env set AUTH_CLIENT_ID <client id>'"
      remember AUTH_APP_MADE true
      ;;
    1) say "using the app registration $name" ;;
    *) fail "several app registrations are called $name: 'azd env set AUTH_CLIENT_ID <client id>'" ;;
  esac
  remember AUTH_CLIENT_ID "$found"
}

# One request each: Graph admits a client to a scope only once the scope is there.
describe_registration() {
  registration="$GRAPH/applications(appId='$AUTH_CLIENT_ID')"
  az rest --method patch --url "$registration" --body "@$(filled app-registration.json "clientId=$AUTH_CLIENT_ID")" --output none
  az rest --method patch --url "$registration" --body "@$(filled app-clients.json)" --output none
  az ad sp show --id "$AUTH_CLIENT_ID" --output none 2>/dev/null || az ad sp create --id "$AUTH_CLIENT_ID" --output none
  say "the app registration $AUTH_CLIENT_ID has the roles Fleet.Read, Certificates.Renew and Devices.Contain"
}

# Whoever deploys is paged unless ALERT_EMAIL says otherwise; an empty one says nobody.
choose_who_is_paged() {
  if [ -z "${ALERT_EMAIL+x}" ]; then
    user=$(az account show --query user.name --output tsv)
    case $user in
      *@*) remember ALERT_EMAIL "$user" ;;
    esac
  fi
  if [ -n "${ALERT_EMAIL-}" ]; then
    say "alert rules page $ALERT_EMAIL"
  else
    say "ALERT RULES PAGE NOBODY: 'azd env set ALERT_EMAIL you@example.com'"
  fi
}

sign_in
check_existing
register Microsoft.Devices
register Microsoft.DeviceRegistry
if [ -z "${EXISTING_IOTHUB_NAME-}" ]; then find_iot_hub_principal; fi
find_or_make_registration
describe_registration
choose_who_is_paged
