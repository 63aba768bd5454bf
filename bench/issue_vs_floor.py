"""Certificates a second from the local PKI, against bare `cryptography` doing the same work.

The floor parses the CSR, verifies its signature and signs a leaf with the same extensions by a P-384 key; the PKI also
checks who asks, the subject, the key's strength and the policy, and remembers what it issued.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bench.results import Goal, Result
from bench.runner import Effort, in_turn
from bench.traffic import MORNING
from fleetcert.certificates import PublicKey
from fleetcert.local.adr.registry import DEFAULT_POLICY, DeviceRegistry
from shared.clock import SystemClock

DEVICE: Final = "device-1"
_USAGE: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def measure(effort: Effort) -> Sequence[Result]:
    """Certificates a second of both."""
    registry = DeviceRegistry("bench", SystemClock())
    registry.register(DEVICE, DEFAULT_POLICY)
    csr, floor, count = _signing_request(), _Floor(), effort.of(300, 5)
    value, against = in_turn(
        effort.rounds,
        lambda: _rate(count, lambda: registry.issue(DEVICE, csr)),
        lambda: _rate(count, lambda: floor.issue(csr)),
    )
    return [
        Result(
            name="issue_vs_floor",
            value=value,
            unit="certificates/s",
            against=against,
            goal=Goal(">=", 0.8),
            limit="two P-384 operations in OpenSSL: the CSR's signature is verified, the leaf's is made",
        )
    ]


class _Floor:
    """The least that issuing can cost."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP384R1())
        self._issuer = _name("bench issuing CA")

    def issue(self, csr: bytes) -> x509.Certificate:
        """A leaf for the request."""
        request = x509.load_der_x509_csr(csr)
        if not request.is_signature_valid:
            raise ValueError("the CSR is not signed by its key")
        key = request.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise TypeError("the bench asks with a P-384 key")
        return self._builder(request.subject, key, MORNING).sign(self._key, hashes.SHA384())

    def _builder(self, subject: x509.Name, key: PublicKey, not_before: datetime) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(not_before)
            .not_valid_after(not_before + timedelta(days=30))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_USAGE, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        )


def _signing_request() -> bytes:
    key = ec.generate_private_key(ec.SECP384R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(_name(DEVICE)).sign(key, hashes.SHA384())
    return request.public_bytes(serialization.Encoding.DER)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _rate(count: int, issue: Callable[[], object]) -> float:
    started = time.perf_counter()
    for _ in range(count):
        issue()
    return count / (time.perf_counter() - started)
