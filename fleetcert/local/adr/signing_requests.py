"""What the registry demands of a certificate signing request before any issuing CA sees it.

Azure's page asks for P-384 while its own samples send P-256 and RSA, so every key of today's strength is taken
(reference: concept-certificate-issuance, 2026-03, and the SDKs' samples) and weaker ones are refused.
"""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from fleetcert.certificates import PublicKey
from fleetcert.local.ports import CsrRefused

MAX_REQUEST_BYTES: Final = 8 * 1024
"""The largest CSR (Azure IoT C# SDK, branch feature/iot-csr-preview: 8 KB)."""
MIN_RSA_BITS: Final = 2048
CURVES: Final = (ec.SECP256R1, ec.SECP384R1)


def approved_key(request: bytes, common_name: str) -> PublicKey:
    """The public key of a DER PKCS#10 request that proves possession and names `common_name` and nobody else.

    Raises: CsrRefused.
    """
    parsed = _parse(request)
    if not _is_signed_by_its_own_key(parsed):
        raise CsrRefused("the signature of the CSR does not match its public key")
    _check_subject(parsed.subject, common_name)
    return _strong_key(parsed)


def _parse(request: bytes) -> x509.CertificateSigningRequest:
    if len(request) > MAX_REQUEST_BYTES:
        raise CsrRefused(f"the CSR has {len(request)} bytes, at most {MAX_REQUEST_BYTES} are allowed")
    try:
        return x509.load_der_x509_csr(request)
    except ValueError as problem:
        raise CsrRefused("the CSR is not a DER-encoded PKCS#10 request") from problem


def _is_signed_by_its_own_key(request: x509.CertificateSigningRequest) -> bool:
    try:
        return request.is_signature_valid
    except (UnsupportedAlgorithm, ValueError, TypeError):
        return False


def _check_subject(subject: x509.Name, common_name: str) -> None:
    names = [str(attribute.value) for attribute in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [common_name]:
        raise CsrRefused(f"the common name of the CSR is {names}, expected {common_name!r}")


def _strong_key(request: x509.CertificateSigningRequest) -> PublicKey:
    try:
        key = request.public_key()
    except (UnsupportedAlgorithm, ValueError) as problem:
        raise CsrRefused("the CSR has a key of an unknown kind") from problem
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS:
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, CURVES):
        return key
    raise CsrRefused(f"the key of the CSR must be EC P-384, EC P-256 or RSA of at least {MIN_RSA_BITS} bits")
