"""`fleetcert device conform`: the scenarios of docs/device-contract.md, played with any device."""
