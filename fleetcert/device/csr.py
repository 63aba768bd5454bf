"""The device's own keys, and the requests that have them certified."""

from __future__ import annotations

import base64
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fleetcert.certificates import PrivateKey, common_name

_RSA_BITS: Final = 3072


class KeyKind(StrEnum):
    """The kinds of keys that a device may make. p384 is the only one that the preview documents
    (Azure docs: concept-certificate-issuance); Microsoft's own samples use the others."""

    P384 = "p384"
    P256 = "p256"
    RSA = "rsa"


def new_key(kind: KeyKind = KeyKind.P384) -> PrivateKey:
    """A key of that kind; RSA has 3072 bits, which NIST SP 800-57 puts on a level with P-256."""
    match kind:
        case KeyKind.P384:
            return ec.generate_private_key(ec.SECP384R1())
        case KeyKind.P256:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyKind.RSA:
            return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)


def signing_request(registration_id: str, key: PrivateKey) -> bytes:
    """A PKCS#10 request as DER. Its common name is the registration id, exactly: DPS compares them."""
    request = x509.CertificateSigningRequestBuilder().subject_name(common_name(registration_id))
    return request.sign(key, _digest(key)).public_bytes(serialization.Encoding.DER)


def to_wire(request: bytes) -> str:
    """DER as DPS and IoT Hub take it: base64 in one line, without PEM's header and footer."""
    return base64.b64encode(request).decode("ascii")


def chain_from_wire(certificates: list[str]) -> tuple[x509.Certificate, ...]:
    """An issued chain, leaf first. Raises: ValueError where there is none, or an element is no certificate."""
    if not certificates:
        raise ValueError("the chain is empty")
    return tuple(x509.load_der_x509_certificate(base64.b64decode(text, validate=True)) for text in certificates)


def _digest(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384:
    is_p384 = isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP384R1)
    return hashes.SHA384() if is_p384 else hashes.SHA256()
