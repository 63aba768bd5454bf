"""The Azure Device Registry namespace: its PKI, its devices and its ARM resources (api-version 2026-03-01-preview)."""
