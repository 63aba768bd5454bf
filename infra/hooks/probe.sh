#!/bin/sh
# probe.sh URL TENANT: asks the app for the fleet with a principal header that anybody could have written.
# Exit code 0: it was refused. 3: it was BELIEVED. 4: the app gave no answer that tells.
set -eu

url=$1
tenant=$2
forged=$(printf '{"auth_typ":"aad","name_typ":"name","role_typ":"roles","claims":[{"typ":"tid","val":"%s"},{"typ":"oid","val":"00000000-0000-0000-0000-00000000f0e6"},{"typ":"roles","val":"Fleet.Read"},{"typ":"roles","val":"Certificates.Renew"},{"typ":"roles","val":"Devices.Contain"}]}' "$tenant" | base64 | tr -d '\n')

status_of() {
  curl --silent --output /dev/null --write-out '%{http_code}' --max-time 60 --max-redirs 0 \
    --header "X-MS-CLIENT-PRINCIPAL: $forged" \
    --header 'X-MS-CLIENT-PRINCIPAL-ID: 00000000-0000-0000-0000-00000000f0e6' \
    --header 'X-MS-CLIENT-PRINCIPAL-IDP: aad' \
    "$1" || true
}

# It only reads: a device that there is not would be 404 to a caller who was let in.
judge() {
  tries=${PROBE_TRIES:-40}
  while :; do
    status=$(status_of "$url$1")
    case $status in
      401 | 403 | 302) printf 'refused (%s): %s\n' "$status" "$1" && return 0 ;;
      000 | '' | 5??) ;;
      *) printf 'BELIEVED (%s): %s\n' "$status" "$1" >&2 && exit 3 ;;
    esac
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || { printf 'no answer that tells (%s): %s\n' "$status" "$1" >&2 && exit 4; }
    sleep "${PROBE_SECONDS:-10}"
  done
}

for path in /api/devices /api/devices/no-such-device /api/fleet/summary; do
  judge "$path"
done
