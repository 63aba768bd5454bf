"""What a device tells its twin about its credentials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cryptography import x509

from fleetcert.certificates import pem_chain, thumbprint
from shared.contracts import MAX_PEM_BYTES, ReportedCertificate, ReportedOnboarding, reported_patch


def describe(
    certificate: x509.Certificate, onboarding: x509.Certificate | None, *, with_pem: bool = True
) -> Sequence[Mapping[str, Any]]:
    """One patch with both credentials, every member of both; `null` for what is not given.

    onboarding: None for a symmetric key, which nobody may be told. with_pem: without it the cloud believes dates, and
    cannot block an X.509 device at DPS by its own certificate.
    """
    return [reported_patch(describe_certificate(certificate, with_pem), describe_onboarding(onboarding, with_pem))]


def describe_certificate(certificate: x509.Certificate, with_pem: bool = True) -> ReportedCertificate:
    """The operational certificate, in full."""
    return ReportedCertificate(
        valid_from=certificate.not_valid_before_utc,
        valid_until=certificate.not_valid_after_utc,
        thumbprint=thumbprint(certificate),
        serial_number=f"{certificate.serial_number:x}",
        issuer=certificate.issuer.rfc4514_string(),
        pem=_pem(certificate) if with_pem else None,
    )


def describe_onboarding(certificate: x509.Certificate | None, with_pem: bool = True) -> ReportedOnboarding:
    """The onboarding credential: the cloud needs its PEM to block the device at DPS."""
    if certificate is None:
        return ReportedOnboarding()
    return ReportedOnboarding(
        thumbprint=thumbprint(certificate),
        valid_until=certificate.not_valid_after_utc,
        pem=_pem(certificate) if with_pem else None,
    )


def holds(document: Mapping[str, Any], patch: Mapping[str, Any]) -> bool:
    """Whether a merge patch (RFC 7396) would change nothing of the document."""
    return all(_holds_member(document.get(name), value) for name, value in patch.items())


def _holds_member(held: Any, value: Any) -> bool:
    if isinstance(value, Mapping):
        return isinstance(held, Mapping) and holds(held, value)
    return bool(held == value)


def _pem(certificate: x509.Certificate) -> str | None:
    # A string that is too long would have the twin refuse the whole patch, dates and all.
    pem = pem_chain([certificate])
    return pem.decode("ascii") if len(pem) < MAX_PEM_BYTES else None
