"""The local Azure: emulated services on the wire, the functions host, the simulated fleet and the demo."""
