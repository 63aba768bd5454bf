"""What an operator does once: an onboarding CA, proved to DPS, and the enrollment group that trusts it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetcert.certificates import CertificateAuthority, LeafProfile
from fleetcert.local.config import ENROLLMENT_GROUP, POLICY
from fleetcert.local.dps.authorities import CertificateAuthorities
from fleetcert.local.dps.documents import AttestationDocument, AuthorityNames, EnrollmentGroupDocument, X509Document
from fleetcert.local.dps.service import ProvisioningService
from fleetcert.onboarding.authority import create_hierarchy

_NAME = "fleetcert-local"


@dataclass(frozen=True, slots=True)
class Onboarding:
    """PEM files of the CA that issues bootstrap certificates for the enrollment group."""

    enrollment_group: str
    ca_cert: Path
    ca_key: Path
    root_cert: Path


def prepare_onboarding(dps: ProvisioningService, folder: Path) -> Onboarding:
    """Makes the CA (EC keys, for speed), uploads and proves its intermediate, and creates the default group."""
    hierarchy = create_hierarchy(folder, _NAME, key_type="ec")
    _upload(dps.authorities, hierarchy.intermediate)
    attestation = AttestationDocument(type="x509", x509=X509Document(ca_references=AuthorityNames(primary=_NAME)))
    dps.groups.put(
        EnrollmentGroupDocument(
            enrollment_group_id=ENROLLMENT_GROUP, attestation=attestation, credential_policy_name=POLICY
        )
    )
    return Onboarding(
        ENROLLMENT_GROUP,
        ca_cert=folder / "ca" / "intermediate-ca.pem",
        ca_key=folder / "ca" / "intermediate-ca.key",
        root_cert=folder / "root" / "root-ca.pem",
    )


def _upload(authorities: CertificateAuthorities, authority: CertificateAuthority) -> None:
    """Proof of possession: the CA issues a certificate whose name is the code that DPS made."""
    etag = authorities.put(_NAME, authority.certificate).etag
    challenged = authorities.generate_verification_code(_NAME, etag)
    assert challenged.verification_code is not None
    now = datetime.now(UTC).replace(microsecond=0)
    proof = authority.issue_leaf(
        challenged.verification_code,
        ec.generate_private_key(ec.SECP256R1()).public_key(),
        LeafProfile([ExtendedKeyUsageOID.CLIENT_AUTH]),
        not_before=now,
        not_after=now + timedelta(hours=1),
    )
    authorities.verify(_NAME, proof, challenged.etag)
