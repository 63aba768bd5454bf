"""The use cases: gather, let the domain decide, apply through ports."""
