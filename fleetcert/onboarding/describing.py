"""A certificate in words: how Azure's portal and resources show it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from fleetcert.certificates import sha1_thumbprint, thumbprint
from fleetcert.onboarding.issuing import readable_name


@dataclass(frozen=True, slots=True)
class Thumbprints:
    """In upper-case hex without colons, as Azure shows them. Its resources and portal name certificates by SHA-1."""

    sha1: str
    sha256: str

    @classmethod
    def of(cls, certificate: x509.Certificate) -> Thumbprints:
        """Both thumbprints."""
        return cls(sha1_thumbprint(certificate).upper(), thumbprint(certificate).upper())


def describe(path: Path, certificate: x509.Certificate) -> str:
    """Where it is, whose it is, until when, and its thumbprints: one line each."""
    thumbprints = Thumbprints.of(certificate)
    return (
        f"{path}: {readable_name(certificate)}, until {day(certificate.not_valid_after_utc)}\n"
        f"SHA-1 thumbprint {thumbprints.sha1}\nSHA-256 thumbprint {thumbprints.sha256}"
    )


def day(instant: datetime) -> str:
    """The day, UTC."""
    return f"{instant:%Y-%m-%d}"
