"""TLS as a device speaks it: it shows its own certificate and believes no server without one."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path


def client_context(ca_bundle: Path | None, present: Callable[[ssl.SSLContext], None]) -> ssl.SSLContext:
    """A context that trusts `ca_bundle` alone (None: the system's CAs), and shows what `present` brings into it.

    Raises: OSError where a file is missing, ssl.SSLError where it cannot be used.
    """
    context = ssl.create_default_context(cafile=str(ca_bundle) if ca_bundle else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    present(context)
    return context
