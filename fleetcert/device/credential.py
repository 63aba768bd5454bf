"""A private key and the certificates that vouch for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fleetcert.certificates import PrivateKey, pem_chain, pem_private_key, thumbprint


@dataclass(frozen=True, slots=True)
class Credential:
    """A key and its chain, leaf first. Raises ValueError where the leaf is not the key's."""

    key: PrivateKey = field(repr=False, compare=False)
    chain: tuple[x509.Certificate, ...]

    def __post_init__(self) -> None:
        if not self.chain:
            raise ValueError("there is no certificate")
        if self.chain[0].public_key() != self.key.public_key():
            raise ValueError("the certificate belongs to another key")

    @classmethod
    def from_pem(cls, key: bytes, chain: bytes) -> Self:
        """A credential from PEM. Raises: ValueError where either cannot be read or they do not belong together."""
        private_key = serialization.load_pem_private_key(key, None)
        if not isinstance(private_key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise ValueError("the key is neither EC nor RSA")  # noqa: TRY004 - it is the file's value that is wrong
        return cls(private_key, tuple(x509.load_pem_x509_certificates(chain)))

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate of the key."""
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

    def to_pem(self) -> bytes:
        """Key and chain in one text, as TLS libraries load them from one file."""
        return pem_private_key(self.key) + pem_chain(self.chain)


@dataclass(frozen=True, slots=True)
class OnboardingCredential:
    """The bootstrap certificate that a device was shipped with. It opens DPS and nothing else.

    certificate_file: PEM, leaf first, with the intermediates that DPS needs to build the chain.
    """

    certificate_file: Path
    key_file: Path
    leaf: x509.Certificate

    @classmethod
    def load(cls, certificate_file: Path, key_file: Path) -> Self:
        """Reads the files. Raises: OSError, ValueError where they are no certificate and its key."""
        credential = Credential.from_pem(key_file.read_bytes(), certificate_file.read_bytes())
        return cls(certificate_file, key_file, credential.leaf)
