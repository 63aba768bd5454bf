"""What a device tells its twin about its credentials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cryptography import x509

from fleetcert.certificates import pem_chain, thumbprint
from shared.contracts import MAX_PEM_BYTES, ReportedCertificate, ReportedOnboarding, reported_patch


def describe(certificate: x509.Certificate, onboarding: x509.Certificate) -> Sequence[Mapping[str, Any]]:
    """One patch with both credentials, every member of both."""
    return [reported_patch(describe_certificate(certificate), describe_onboarding(onboarding))]


def describe_certificate(certificate: x509.Certificate) -> ReportedCertificate:
    """The operational certificate, in full."""
    return ReportedCertificate(
        valid_from=certificate.not_valid_before_utc,
        valid_until=certificate.not_valid_after_utc,
        thumbprint=thumbprint(certificate),
        serial_number=f"{certificate.serial_number:x}",
        issuer=certificate.issuer.rfc4514_string(),
        pem=_pem(certificate),
    )


def describe_onboarding(certificate: x509.Certificate) -> ReportedOnboarding:
    """The onboarding credential: the cloud needs its PEM to block the device at DPS."""
    return ReportedOnboarding(
        thumbprint=thumbprint(certificate),
        valid_until=certificate.not_valid_after_utc,
        pem=_pem(certificate),
    )


def _pem(certificate: x509.Certificate) -> str | None:
    # A string that is too long would have the twin refuse the whole patch, dates and all.
    pem = pem_chain([certificate])
    return pem.decode("ascii") if len(pem) < MAX_PEM_BYTES else None
