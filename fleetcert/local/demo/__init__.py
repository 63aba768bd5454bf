"""`fleetcert local demo`: the life of a simulated fleet, live, and checked against the services' own state."""
