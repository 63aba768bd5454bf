"""What every function shares: the domain, the services, the adapters and the contracts on the wire."""
