"""What onboarding needs of Azure: the CA certificates of a provisioning service, and its enrollments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from cryptography import x509

from fleetcert.certificates import sha1_thumbprint

type Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedCertificate:
    """A CA certificate at DPS. thumbprint: SHA-1 in upper-case hex, as Azure tells it. etag: its present version."""

    name: str
    thumbprint: str
    is_verified: bool
    not_after: datetime | None
    etag: str

    def is_of(self, certificate: x509.Certificate) -> bool:
        """Whether this very certificate was uploaded."""
        return self.thumbprint.casefold() == sha1_thumbprint(certificate)


@dataclass(frozen=True, slots=True)
class Challenge:
    """A verification code, and the version of the certificate that it was made for."""

    code: str
    etag: str


class CertificateService(Protocol):
    """The CA certificates of one provisioning service. Each raises InfrastructureFault, Throttled, RequestRejected."""

    async def get(self, name: str) -> UploadedCertificate | None:
        """One of them, or None where there is none of this name."""

    async def list(self) -> Sequence[UploadedCertificate]:
        """All of them; DPS holds 25 at most."""

    async def upload(self, name: str, certificate: x509.Certificate, etag: str | None) -> UploadedCertificate:
        """Creates it, or replaces the version with this ETag. Raises: Conflict."""

    async def generate_code(self, name: str, etag: str) -> Challenge:
        """A new verification code; those of before are void. Raises: Conflict."""

    async def verify(self, name: str, proof: x509.Certificate, etag: str) -> UploadedCertificate:
        """Proves possession by a certificate that the CA issued to the code. Raises: Conflict, RequestRejected."""


class EnrollmentService(Protocol):
    """The service API of DPS, document by document: what `shared.adapters.dps.ServiceApi` is."""

    @property
    def api_version(self) -> str:
        """The version that is spoken; it decides what a credential policy is called."""

    async def get(self, *path: str) -> Document | None:
        """The document, or None where there is none."""

    async def put(self, *path: str, document: Document, etag: str | None = None) -> Document:
        """Creates or replaces; with `etag` only what is still at that version. Raises: Conflict."""

    async def post(self, *path: str, document: Document | None = None) -> Any:
        """Runs an action."""

    async def query(self, *path: str, query: Document) -> list[Document]:
        """Every document that a query finds, page by page."""
