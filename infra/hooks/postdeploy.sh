#!/bin/sh
# After the app was deployed: tries to get in with a forged principal, and stops the app if it is let in.
set -eu
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

url="https://$FLEETCERT_APP_HOSTNAME"

stop_the_app() {
  az functionapp stop --name "$FLEETCERT_APP_NAME" --resource-group "$AZURE_RESOURCE_GROUP"
  fail 'THE APP BELIEVED A FORGED PRINCIPAL AND WAS STOPPED. App Service Authentication is not in front of it; azd provision puts it there'
}

need curl 'the probe asks the app with it'
say 'trying to get in with a forged principal'
verdict=0
sh "$hooks/probe.sh" "$url" "$AZURE_TENANT_ID" || verdict=$?
case $verdict in
  0) say 'a forged principal is refused' ;;
  3) stop_the_app ;;
  *) fail "$url gave no answer that tells whether it believes a forged principal: look at its log, then 'azd hooks run postdeploy'" ;;
esac

say "the API: $url/api (health: $url/api/health)"
say "the dashboard: $url/api/dashboard"
say "devices register with the id scope $FLEETCERT_DPS_ID_SCOPE"
