# Before the app is packaged: brings Chart.js, which the dashboard draws with, among the files that are served.
. "$PSScriptRoot/common.ps1"

$served = 'functions/static'
try {
    if (-not (Test-Path "$served/chart.umd.min.js")) {
        Say 'bringing Chart.js from npm'
        npm ci '--omit=dev' --ignore-scripts --no-audit --no-fund --silent
        Check 'npm could not bring Chart.js, which the dashboard draws with: it wants Node 22 or later'
        Copy-Item node_modules/chart.js/LICENSE.md "$served/chart.LICENSE.md"
        Copy-Item node_modules/chart.js/dist/chart.umd.min.js "$served/chart.umd.min.js"
    }
}
finally {
    Remove-Item -Recurse -Force $work
}
