"""The real SDKs behind the ports that the services declare."""
