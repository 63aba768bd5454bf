"""TLS as a device speaks it: it shows its own certificate and believes no server without one."""

from __future__ import annotations

import ssl
from pathlib import Path


def client_context(ca_bundle: Path, certificate: Path, key: Path | None = None) -> ssl.SSLContext:
    """A context that trusts `ca_bundle` alone and presents `certificate` (PEM chain; `key` None: it holds the key too).

    Raises: OSError where a file is missing, ssl.SSLError where it cannot be used.
    """
    context = ssl.create_default_context(cafile=str(ca_bundle))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(str(certificate), str(key) if key else None)
    return context
