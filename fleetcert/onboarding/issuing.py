"""What the CAs and devices of onboarding look like: pure making of certificates, without files.

Names, lifetimes and extensions are those of the manual steps in "Understanding X.509 and CSR Workflows" (IoT Hub with
ADR and Certificate Management). The device's has a subject key identifier too, because Python 3.13 verifies strictly.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetcert.certificates import (
    CertificateAuthority,
    LeafProfile,
    PrivateKey,
    PublicKey,
    common_name_of,
    is_issued_by,
)
from fleetcert.onboarding.keys import signature_hash
from fleetcert.onboarding.names import check_authority_name, check_registration_id, is_host_name
from shared.errors import NotPossible

ROOT_LIFE: Final = timedelta(days=3650)
INTERMEDIATE_LIFE: Final = timedelta(days=1825)
DEVICE_LIFE: Final = timedelta(days=365)


def root_name(name: str) -> str:
    """What the root of a hierarchy is called, in its certificate and at DPS. Raises: NotPossible."""
    return check_authority_name(f"{name}-root")


def intermediate_name(name: str) -> str:
    """What the intermediate of a hierarchy is called, in its certificate and at DPS. Raises: NotPossible."""
    return check_authority_name(f"{name}-intermediate")


def make_root(name: str, key: PrivateKey, life: timedelta = ROOT_LIFE) -> CertificateAuthority:
    """The root `{name}-root`."""
    now = utc_now()
    return CertificateAuthority.create_root(
        root_name(name),
        key,
        not_before=now,
        not_after=now + life,
        path_length=1,
        signature_hash=signature_hash(key),
    )


def certify_intermediate(
    root: CertificateAuthority, name: str, public_key: PublicKey, life: timedelta = INTERMEDIATE_LIFE
) -> x509.Certificate:
    """The certificate of `{name}-intermediate`; it never outlives the root. Raises: NotPossible."""
    now = utc_now()
    return root.certify_authority(
        intermediate_name(name), public_key, not_before=now, not_after=_end(root, now, life), path_length=0
    )


def certify_device(
    authority: CertificateAuthority, registration_id: str, public_key: PublicKey, life: timedelta = DEVICE_LIFE
) -> x509.Certificate:
    """A bootstrap certificate. It never outlives the CAs: a chain is worth nothing after the first of it has ended.

    An id that is no host name is in no subject alternative name: it would be malformed there, and DPS reads the
    common name. Raises: NotPossible where the id cannot be used or a CA of the chain has ended.
    """
    check_registration_id(registration_id)
    now = utc_now()
    profile = LeafProfile(
        extended_key_usages=[ExtendedKeyUsageOID.CLIENT_AUTH],
        alternative_names=[x509.DNSName(registration_id)] if is_host_name(registration_id) else [],
        key_encipherment=isinstance(public_key, rsa.RSAPublicKey),  # RFC 5480: an EC key enciphers no keys
        constraints_critical=False,
    )
    return authority.issue_leaf(
        registration_id, public_key, profile, not_before=now, not_after=_end(authority, now, life)
    )


def mismatch(
    certificate: x509.Certificate,
    *,
    name: str,
    public_key: PublicKey | None = None,
    issuer: x509.Certificate | None = None,
) -> str | None:
    """Why a certificate is not the one that is wanted; None where it is. What is not given is not compared."""
    if common_name_of(certificate.subject) != name:
        return f"it is of {readable_name(certificate)}, not of {name}"
    if issuer is not None and not is_issued_by(certificate, issuer):
        return f"the {readable_name(issuer)} that is here did not issue it"
    if public_key is not None and certificate.public_key() != public_key:
        return "the key that is here belongs to another certificate"
    return None


def end_reached(certificate: x509.Certificate) -> str | None:
    """When a certificate ended, in words; None where it has not."""
    end = certificate.not_valid_after_utc
    return f"it ended on {end:%Y-%m-%d}" if end <= utc_now() else None


def utc_now() -> datetime:
    """To the second, as certificates have it."""
    return datetime.now(UTC).replace(microsecond=0)


def readable_name(certificate: x509.Certificate) -> str:
    """The common name, or where there is none the whole subject."""
    return common_name_of(certificate.subject) or certificate.subject.rfc4514_string()


def check_not_ended(authority: CertificateAuthority) -> None:
    """Raises: NotPossible where a CA of the chain has ended: what it issued now, nobody would take."""
    for certificate in authority.chain:
        if (why := end_reached(certificate)) is not None:
            raise NotPossible(f"the CA {readable_name(certificate)} can issue nothing: {why}")


def _end(authority: CertificateAuthority, now: datetime, life: timedelta) -> datetime:
    check_not_ended(authority)
    return min(now + life, *(certificate.not_valid_after_utc for certificate in authority.chain))
