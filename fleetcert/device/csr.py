"""The device's own keys, and the requests that have them certified."""

from __future__ import annotations

import base64

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fleetcert.certificates import common_name


def new_key() -> ec.EllipticCurvePrivateKey:
    """A P-384 key: the only kind that the preview documents (Azure docs: concept-certificate-issuance)."""
    return ec.generate_private_key(ec.SECP384R1())


def signing_request(registration_id: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """A PKCS#10 request as DER. Its common name is the registration id, exactly: DPS compares them."""
    request = x509.CertificateSigningRequestBuilder().subject_name(common_name(registration_id))
    return request.sign(key, hashes.SHA384()).public_bytes(serialization.Encoding.DER)


def to_wire(request: bytes) -> str:
    """DER as DPS and IoT Hub take it: base64 in one line, without PEM's header and footer."""
    return base64.b64encode(request).decode("ascii")


def chain_from_wire(certificates: list[str]) -> tuple[x509.Certificate, ...]:
    """An `issuedCertificateChain`, leaf first. Raises: ValueError where an element is no certificate."""
    return tuple(x509.load_der_x509_certificate(base64.b64decode(text, validate=True)) for text in certificates)
