"""Event Hubs: partitioned logs of events, read from a position by any number of consumer groups."""
