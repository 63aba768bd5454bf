"""`fleetcert local drill`: causes trouble in a running local Azure and tells what happens; others mend it."""
