"""The Azure Functions: one trigger per file, each translating a binding into one call of a service."""
