"""Enrollments as they travel (azure-rest-api-specs: deviceprovisioningservices, service data plane)."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, field


class CertificateInfo(Struct, rename="camel", kw_only=True, omit_defaults=True):
    """What DPS tells of a certificate that it was given."""

    subject_name: str = ""
    sha1_thumbprint: str = field(default="", name="sha1Thumbprint")
    sha256_thumbprint: str = field(default="", name="sha256Thumbprint")
    issuer_name: str = ""
    not_before_utc: str = ""
    not_after_utc: str = ""
    serial_number: str = ""
    version: int = 0


class CertificateDocument(Struct, kw_only=True, omit_defaults=True):
    """A certificate on its way in (`certificate`) or out (`info`)."""

    certificate: str | None = None
    info: CertificateInfo | None = None


class CertificatePair(Struct, kw_only=True, omit_defaults=True):
    """Two certificates, so that one can be rolled while the other holds."""

    primary: CertificateDocument | None = None
    secondary: CertificateDocument | None = None


class AuthorityNames(Struct, kw_only=True, omit_defaults=True):
    """CA certificates of the service by name."""

    primary: str | None = None
    secondary: str | None = None


class X509Document(Struct, rename="camel", kw_only=True, omit_defaults=True):
    """Exactly one of the three forms of X.509 attestation."""

    client_certificates: CertificatePair | None = None
    signing_certificates: CertificatePair | None = None
    ca_references: AuthorityNames | None = None


class SymmetricKeyDocument(Struct, rename="camel", kw_only=True, omit_defaults=True):
    """Keys in base64."""

    primary_key: str | None = None
    secondary_key: str | None = None


class AttestationDocument(Struct, rename="camel", kw_only=True, omit_defaults=True):
    """How a device proves itself."""

    type: Literal["none", "tpm", "x509", "symmetricKey"]
    x509: X509Document | None = None
    symmetric_key: SymmetricKeyDocument | None = None
    tpm: Any = None


class DesiredProperties(Struct, kw_only=True):
    """The desired properties of a new twin."""

    desired: dict[str, Any] = field(default_factory=dict)


class InitialTwin(Struct, kw_only=True):
    """The twin that a device starts with."""

    tags: dict[str, Any] = field(default_factory=dict)
    properties: DesiredProperties = field(default_factory=DesiredProperties)


class EnrollmentDocument(Struct, rename="camel", kw_only=True, omit_defaults=True):
    """What both kinds of enrollment have."""

    attestation: AttestationDocument
    capabilities: dict[str, Any] | None = None
    iot_hub_host_name: str | None = None
    iot_hubs: list[str] | None = None
    credential_policy_name: str | None = None
    namespace_name: str | None = None
    certificate_authority_name: str | None = None
    certificate_policy_name: str | None = None
    initial_twin: InitialTwin | None = None
    etag: str | None = None
    provisioning_status: Literal["enabled", "disabled"] | None = None
    reprovision_policy: dict[str, bool] | None = None
    allocation_policy: Literal["hashed", "geoLatency", "static", "custom"] | None = None
    custom_allocation_definition: Any = None
    created_date_time_utc: str | None = None
    last_updated_date_time_utc: str | None = None

    @property
    def policy(self) -> str | None:
        """The credential policy by which certificates are issued, under either of its names."""
        return self.credential_policy_name or self.certificate_policy_name


class EnrollmentGroupDocument(EnrollmentDocument, kw_only=True):
    """Many devices that prove themselves by one CA or by keys derived from one key."""

    enrollment_group_id: str


class IndividualEnrollmentDocument(EnrollmentDocument, kw_only=True):
    """One device."""

    registration_id: str
    device_id: str | None = None
    optional_device_information: dict[str, Any] | None = None
    registration_state: dict[str, Any] | None = None


class BulkDocument(Struct, rename="camel", kw_only=True):
    """Up to ten individual enrollments at once."""

    mode: Literal["create", "update", "updateIfMatchETag", "delete"]
    enrollments: list[IndividualEnrollmentDocument]
