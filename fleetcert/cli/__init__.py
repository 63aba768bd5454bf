"""The `fleetcert` command."""
