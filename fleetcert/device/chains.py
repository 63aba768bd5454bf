"""Certificates that lead with a device's own."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509

from fleetcert.certificates import thumbprint

type Chain = tuple[x509.Certificate, ...]
"""Certificates, leaf first."""


class Chained:
    """What holds a chain, and is spoken of by its leaf."""

    __slots__ = ()
    chain: Chain

    @property
    def leaf(self) -> x509.Certificate:
        """The device's own certificate."""
        return self.chain[0]

    @property
    def thumbprint(self) -> str:
        """The leaf's SHA-256 thumbprint as lower-case hex."""
        return thumbprint(self.leaf)

    @property
    def not_before(self) -> datetime:
        """From when the leaf is valid, UTC."""
        return self.leaf.not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        """Until when the leaf is valid, UTC."""
        return self.leaf.not_valid_after_utc
