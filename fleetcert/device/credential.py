"""What a device shows of itself: a private key with its certificates, and the credential that it was shipped with."""

from __future__ import annotations

import base64
import binascii
import hmac
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from cryptography import x509

from fleetcert.certificates import PrivateKey, pem_chain, pem_private_key, read_private_key
from fleetcert.device.chains import Chain, Chained

_KEY_BYTES: Final = range(16, 65)


@dataclass(frozen=True, slots=True)
class Credential(Chained):
    """A key and its chain, leaf first. Raises ValueError where the leaf is not the key's."""

    key: PrivateKey = field(repr=False, compare=False)
    chain: Chain

    def __post_init__(self) -> None:
        if not self.chain:
            raise ValueError("there is no certificate")
        if self.chain[0].public_key() != self.key.public_key():
            raise ValueError("the certificate belongs to another key")

    @classmethod
    def from_pem(cls, key: bytes, chain: bytes, passphrase: bytes | None = None) -> Self:
        """A credential from PEM.

        Raises: ValueError where either cannot be read, they do not belong together, or the passphrase does not open
        the key.
        """
        return cls(read_private_key(key, passphrase), tuple(x509.load_pem_x509_certificates(chain)))

    def to_pem(self) -> bytes:
        """Key and chain in one text, as TLS libraries load them from one file."""
        return pem_private_key(self.key) + pem_chain(self.chain)


@dataclass(frozen=True, slots=True)
class OnboardingCredential:
    """The bootstrap certificate that a device was shipped with. It opens DPS and nothing else.

    certificate_file: PEM, leaf first, with the intermediates that DPS needs to build the chain.
    passphrase: of the key, where it is encrypted.
    """

    certificate_file: Path
    key_file: Path
    leaf: x509.Certificate
    passphrase: bytes | None = field(default=None, repr=False)

    @classmethod
    def load(cls, certificate_file: Path, key_file: Path, passphrase: bytes | None = None) -> Self:
        """Reads the files. Raises: OSError, ValueError where they are no certificate and its key."""
        credential = Credential.from_pem(key_file.read_bytes(), certificate_file.read_bytes(), passphrase)
        return cls(certificate_file, key_file, credential.leaf, passphrase)

    def present(self, context: ssl.SSLContext) -> None:
        """Has the context show the certificate. Raises: OSError, ssl.SSLError."""
        # Without a password OpenSSL would ask the terminal for it, and a service would wait for ever.
        context.load_cert_chain(str(self.certificate_file), str(self.key_file), self.passphrase or b"")

    def token(self, resource: str, expires: datetime) -> str | None:
        """None: a certificate needs no token."""


@dataclass(frozen=True, slots=True)
class SymmetricKeyCredential:
    """The device's own symmetric key: of an individual enrollment, or derived from its group's.

    The group's key itself must never be on a device: whoever reads it is the whole group.
    """

    key: bytes = field(repr=False)

    @classmethod
    def from_base64(cls, text: str) -> Self:
        """Raises: ValueError where it is no base64 of 16 to 64 bytes (Azure docs: symmetric key attestation)."""
        try:
            key = base64.b64decode(text.strip(), validate=True)
        except binascii.Error as problem:
            raise ValueError("a symmetric key is base64") from problem
        if len(key) not in _KEY_BYTES:
            raise ValueError(f"a symmetric key has {_KEY_BYTES[0]} to {_KEY_BYTES[-1]} bytes, not {len(key)}")
        return cls(key)

    @property
    def leaf(self) -> x509.Certificate | None:
        """None: there is no certificate."""
        return None

    def present(self, context: ssl.SSLContext) -> None:
        """Nothing: the token proves the device."""

    def token(self, resource: str, expires: datetime) -> str | None:
        """A shared access signature for DPS (Azure docs: symmetric key attestation).

        resource: `{idScope}/registrations/{registrationId}`.
        """
        target, expiry = quote(resource, safe=""), int(expires.timestamp())
        signature = base64.b64encode(hmac.digest(self.key, f"{target}\n{expiry}".encode(), sha256)).decode()
        return f"SharedAccessSignature sr={target}&sig={quote(signature, safe='')}&se={expiry}&skn=registration"


type Onboarding = OnboardingCredential | SymmetricKeyCredential
"""What opens DPS for a device."""
