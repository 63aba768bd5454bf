"""What is fast, and what limits it: measured side by side against named alternatives (`python -m bench`)."""
