# shellcheck shell=sh
# What the hooks share. They run in the project's folder, with azd's environment; each can be run again at any time.

hooks=$(dirname "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() {
  printf 'fleetcert: %s\n' "$*"
}

fail() {
  printf 'fleetcert: %s\n' "$*" >&2
  exit 1
}

need() {
  command -v "$1" >/dev/null || fail "$1 is not on the path: $2"
}

# remember NAME VALUE: into azd's environment, where it is not there already.
remember() {
  known=
  eval "known=\${$1-}"
  if [ "$known" != "$2" ]; then
    azd env set "$1" "$2"
    export "$1=$2"
  fi
}

# filled TEMPLATE NAME=VALUE...: the path of a copy with every {NAME} replaced.
filled() {
  copy="$work/$1"
  cp "$hooks/$1" "$copy"
  shift
  for pair in "$@"; do
    sed "s|{${pair%%=*}}|${pair#*=}|g" "$copy" >"$copy.next"
    mv "$copy.next" "$copy"
  done
  printf '%s' "$copy"
}

# patiently TRIES COMMAND...: a new role needs minutes until every service heeds it.
patiently() {
  tries=$1
  shift
  until "$@"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep "${PATIENCE_SECONDS:-15}"
  done
}
