#!/bin/sh
# Before the app is packaged: brings Chart.js, which the dashboard draws with, among the files that are served.
set -eu
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

served=functions/static
if [ ! -f "$served/chart.umd.min.js" ]; then
  need npm 'the dashboard draws with Chart.js, which comes from there (with Node 22 or later)'
  say 'bringing Chart.js from npm'
  npm ci --omit=dev --ignore-scripts --no-audit --no-fund --silent
  cp node_modules/chart.js/LICENSE.md "$served/chart.LICENSE.md"
  cp node_modules/chart.js/dist/chart.umd.min.js "$served/chart.umd.min.js"
fi
