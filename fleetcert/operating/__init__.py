"""What operators do with a fleet that runs: check its audit, back it up, replay what could not be read."""
