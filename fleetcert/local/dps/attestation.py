"""The ways in which an enrollment lets devices prove themselves, read from and written to their documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from fleetcert.certificates import sha1_thumbprint, thumbprint
from fleetcert.local.chains import is_authority, read_certificate
from fleetcert.local.dps.documents import (
    AttestationDocument,
    AuthorityNames,
    CertificateDocument,
    CertificateInfo,
    CertificatePair,
    SymmetricKeyDocument,
    X509Document,
)
from fleetcert.local.dps.errors import bad_request
from fleetcert.local.instants import precise
from fleetcert.local.symmetric_keys import SymmetricKeys

TPM_IS_REFUSED: Final = "TPM attestation is not available here: it needs a TPM's keys and is not imitated"


@dataclass(frozen=True, slots=True)
class ClientCertificates:
    """The device presents one of these very certificates."""

    certificates: Sequence[x509.Certificate]


@dataclass(frozen=True, slots=True)
class SigningCertificates:
    """The device presents a chain that ends at one of these CA certificates."""

    certificates: Sequence[x509.Certificate]


@dataclass(frozen=True, slots=True)
class AuthorityReferences:
    """The device presents a chain that ends at one of the service's verified CA certificates with these names."""

    names: Sequence[str]


type Attestation = ClientCertificates | SigningCertificates | AuthorityReferences | SymmetricKeys


def read_attestation(document: AttestationDocument, present: Attestation | None, *, group: bool) -> Attestation:
    """What an enrollment's document asks for.

    present: the attestation of the enrollment that is replaced; a certificate of it that comes back without its text
    stays, for DPS never gives that text out. Symmetric keys that are missing are generated. Raises: Refusal 400.
    """
    match document.type:
        case "symmetricKey":
            return _read_keys(document.symmetric_key or SymmetricKeyDocument())
        case "x509" if document.x509 is not None:
            return _read_x509(document.x509, present, group=group)
        case "tpm":
            raise bad_request(TPM_IS_REFUSED)
        case _:
            raise bad_request(f"The attestation {document.type!r} lacks its mechanism")


def write_attestation(attestation: Attestation, *, with_keys: bool = False) -> AttestationDocument:
    """The attestation without its secrets, or with the symmetric keys for `/attestationmechanism`."""
    match attestation:
        case SymmetricKeys():
            keys = attestation.to_wire()
            document = SymmetricKeyDocument(primary_key=keys["primaryKey"], secondary_key=keys["secondaryKey"])
            return AttestationDocument(type="symmetricKey", symmetric_key=document if with_keys else None)
        case ClientCertificates(certificates):
            return AttestationDocument(type="x509", x509=X509Document(client_certificates=_write_pair(certificates)))
        case SigningCertificates(certificates):
            return AttestationDocument(type="x509", x509=X509Document(signing_certificates=_write_pair(certificates)))
        case AuthorityReferences(names):
            secondary = names[1] if len(names) > 1 else None
            references = AuthorityNames(primary=names[0], secondary=secondary)
            return AttestationDocument(type="x509", x509=X509Document(ca_references=references))


def certificate_info(certificate: x509.Certificate) -> CertificateInfo:
    """A certificate as DPS describes it; thumbprints and serial number in upper-case hex."""
    return CertificateInfo(
        subject_name=certificate.subject.rfc4514_string(),
        sha1_thumbprint=sha1_thumbprint(certificate).upper(),
        sha256_thumbprint=thumbprint(certificate).upper(),
        issuer_name=certificate.issuer.rfc4514_string(),
        not_before_utc=precise(certificate.not_valid_before_utc),
        not_after_utc=precise(certificate.not_valid_after_utc),
        serial_number=f"{certificate.serial_number:X}",
        version=3,
    )


def _read_keys(document: SymmetricKeyDocument) -> SymmetricKeys:
    if not document.primary_key and not document.secondary_key:
        return SymmetricKeys.generate()
    if not document.primary_key or not document.secondary_key:
        raise bad_request("Give both symmetric keys or neither")
    try:
        return SymmetricKeys.from_base64(document.primary_key, document.secondary_key)
    except ValueError as problem:
        raise bad_request(f"The attestation is invalid: {problem}") from problem


def _read_x509(document: X509Document, present: Attestation | None, *, group: bool) -> Attestation:
    match document:
        case X509Document(client_certificates=CertificatePair() as pair) if not group:
            known = present.certificates if isinstance(present, ClientCertificates) else ()
            return ClientCertificates(_read_pair(pair, known))
        case X509Document(signing_certificates=CertificatePair() as pair) if group:
            known = present.certificates if isinstance(present, SigningCertificates) else ()
            return SigningCertificates(_only_authorities(_read_pair(pair, known)))
        case X509Document(ca_references=AuthorityNames(primary=str() as primary, secondary=secondary)) if group:
            return AuthorityReferences([primary, *([secondary] if secondary else [])])
    expected = "signingCertificates or caReferences" if group else "clientCertificates"
    raise bad_request(f"The X.509 attestation of this enrollment needs {expected}")


def _read_pair(pair: CertificatePair, known: Sequence[x509.Certificate]) -> Sequence[x509.Certificate]:
    certificates = [_read_one(one, known) for one in (pair.primary, pair.secondary) if one is not None]
    if not certificates:
        raise bad_request("The X.509 attestation holds no certificate")
    return certificates


def _read_one(document: CertificateDocument, known: Sequence[x509.Certificate]) -> x509.Certificate:
    if document.certificate:
        try:
            return read_certificate(document.certificate)
        except ValueError as problem:
            raise bad_request(f"The certificate cannot be read: {problem}") from problem
    wanted = document.info.sha256_thumbprint.lower() if document.info else ""
    for certificate in known:
        if thumbprint(certificate) == wanted:
            return certificate
    raise bad_request("The X.509 attestation holds no certificate")


def _only_authorities(certificates: Sequence[x509.Certificate]) -> Sequence[x509.Certificate]:
    if not all(is_authority(certificate) for certificate in certificates):
        raise bad_request("A signing certificate is a CA certificate (basicConstraints CA:TRUE)")
    return certificates


def _write_pair(certificates: Sequence[x509.Certificate]) -> CertificatePair:
    documents = [CertificateDocument(info=certificate_info(certificate)) for certificate in certificates]
    return CertificatePair(primary=documents[0], secondary=documents[1] if len(documents) > 1 else None)
