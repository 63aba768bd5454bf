"""The keys of CAs and devices: which kinds there are, and how they are made and read."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fleetcert.certificates import PrivateKey, SignatureHash, read_private_key
from shared.errors import NotPossible

type KeyType = Literal["rsa", "ec", "p256", "p384"]
"""`rsa`: 4096 bits for CAs, 2048 for devices. `ec`: P-384 for CAs, P-256 for devices. `p256`, `p384`: for both."""

_AUTHORITY_RSA_BITS: Final = 4096
_DEVICE_RSA_BITS: Final = 2048


def authority_key(key_type: KeyType) -> PrivateKey:
    """A new key for a CA."""
    if key_type == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=_AUTHORITY_RSA_BITS)
    return ec.generate_private_key(ec.SECP256R1() if key_type == "p256" else ec.SECP384R1())


def device_key(key_type: KeyType) -> PrivateKey:
    """A new key for a device."""
    if key_type == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=_DEVICE_RSA_BITS)
    return ec.generate_private_key(ec.SECP384R1() if key_type == "p384" else ec.SECP256R1())


def signature_hash(key: PrivateKey) -> SignatureHash:
    """The hash that a key signs with: as strong as its curve; SHA-256 for RSA."""
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.key_size > 256:
        return hashes.SHA384()
    return hashes.SHA256()


def read_key(path: Path, passphrase: bytes | None = None) -> PrivateKey:
    """A private key from a PEM file, encrypted or not; a passphrase that is not needed is not used.

    Raises: NotPossible where there is no file, no EC or RSA key in it, or the passphrase is missing or wrong.
    """
    pem = _read(path)
    try:
        return read_private_key(pem, passphrase, str(path))
    except ValueError as problem:
        raise NotPossible(str(problem)) from problem


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise NotPossible(f"{path} cannot be read: {problem.strerror}") from problem
