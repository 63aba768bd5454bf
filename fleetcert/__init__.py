"""Everything that does not run in the cloud: the device agent, onboarding, the local Azure, the command line."""
