"""Bootstrap credentials: the CA hierarchy, proof of possession, enrollment groups."""
