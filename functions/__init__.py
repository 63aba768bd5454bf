"""The triggers, one a file: each translates a binding into one call of a service, and its result back."""
