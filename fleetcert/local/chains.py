"""Reading certificates as DPS's clients send them, and verifying the chain that a device presents."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, Policy, PolicyBuilder, Store, VerificationError


def read_certificate(text: str) -> x509.Certificate:
    """A certificate given as PEM, as base64 of DER or as base64 of PEM: Azure's tools send all three.

    Raises: ValueError.
    """
    try:
        octets = text.encode("ascii") if "-----BEGIN" in text else base64.b64decode(text)
    except (binascii.Error, UnicodeEncodeError) as problem:
        raise ValueError("the certificate is neither PEM nor base64") from problem
    if b"-----BEGIN" in octets:
        return x509.load_pem_x509_certificate(octets)
    return x509.load_der_x509_certificate(octets)


def is_authority(certificate: x509.Certificate) -> bool:
    """Whether the certificate says that it may issue others."""
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def is_valid_at(certificate: x509.Certificate, now: datetime) -> bool:
    """Whether `now` (aware) lies in the certificate's validity."""
    return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def chain_length(chain: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate], now: datetime) -> int | None:
    """How many certificates lead from the presented leaf to one of the anchors; None where no valid chain does.

    chain: leaf first, in any order after it. anchors: roots or intermediates.
    """
    if not chain or not anchors:
        return None
    verifier = (
        PolicyBuilder()
        .store(Store(list(anchors)))
        .time(now)
        .extension_policies(ca_policy=_AUTHORITY, ee_policy=_DEVICE)
        .build_client_verifier()
    )
    try:
        return len(verifier.verify(chain[0], list(chain[1:])).chain)
    except VerificationError:
        return None


def _may_sign_certificates(_: Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("the CA's key may not sign certificates")


def _is_for_clients(_: Policy, __: x509.Certificate, usages: x509.ExtendedKeyUsage | None) -> None:
    allowed = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    if usages is not None and not any(usage in allowed for usage in usages):
        raise ValueError("the certificate is not for client authentication")


# Onboarding CAs are made with OpenSSL and lack what the web's PKI demands, so only what bears on trust is checked;
# that a CA asserts CA:TRUE, and the length of paths, the verifier checks by itself.
_AUTHORITY = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _may_sign_certificates)
)
_DEVICE = ExtensionPolicy.permit_all().may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _is_for_clients)
