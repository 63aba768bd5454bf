"""Making certificates: one builder for every CA and leaf of the project.

Each certificate carries a subject key identifier and an authority key identifier, because Python 3.13 verifies strictly
and refuses chains without them. Serial numbers are random (RFC 5280: at most 20 octets).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

type PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
type PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
type SignatureHash = hashes.SHA256 | hashes.SHA384


def common_name(value: str) -> x509.Name:
    """A distinguished name that holds a common name alone."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, value)])


def common_name_of(name: x509.Name) -> str:
    """The common name in a distinguished name; empty where there is none."""
    attributes = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(attributes[0].value) if attributes else ""


def key_usage(*, certificate_authority: bool = False, key_encipherment: bool = False) -> x509.KeyUsage:
    """`keyCertSign, cRLSign` for a CA; `digitalSignature` (and `keyEncipherment`) for a leaf."""
    return x509.KeyUsage(
        digital_signature=not certificate_authority,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificate_authority,
        crl_sign=certificate_authority,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass(frozen=True, slots=True)
class LeafProfile:
    """What an end-entity certificate is for."""

    extended_key_usages: Sequence[x509.ObjectIdentifier]
    alternative_names: Sequence[x509.GeneralName] = ()
    key_encipherment: bool = False
    constraints_critical: bool = True


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """A CA that can sign: its certificate, its private key and the certificates above it.

    `parents` runs from the CA's own issuer to the root; empty for a root.
    """

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)
    parents: Sequence[x509.Certificate] = ()
    signature_hash: SignatureHash = field(default_factory=hashes.SHA384)

    @classmethod
    def create_root(
        cls,
        name: str,
        key: PrivateKey,
        *,
        not_before: datetime,
        not_after: datetime,
        path_length: int | None = 1,
        signature_hash: SignatureHash | None = None,
    ) -> Self:
        """A self-signed CA."""
        algorithm = signature_hash or hashes.SHA384()
        subject = common_name(name)
        builder = _builder(subject, subject, key.public_key(), key.public_key(), not_before, not_after)
        certificate = _as_authority(builder, path_length).sign(key, algorithm)
        return cls(certificate, key, (), algorithm)

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """This CA's certificate and those above it, up to the root."""
        return (self.certificate, *self.parents)

    def issue_authority(
        self,
        name: str,
        key: PrivateKey,
        *,
        not_before: datetime,
        not_after: datetime,
        path_length: int | None = 0,
    ) -> CertificateAuthority:
        """A CA below this one, which signs with the same hash."""
        certificate = self.certify_authority(
            name, key.public_key(), not_before=not_before, not_after=not_after, path_length=path_length
        )
        return CertificateAuthority(certificate, key, self.chain, self.signature_hash)

    def certify_authority(
        self,
        name: str,
        public_key: PublicKey,
        *,
        not_before: datetime,
        not_after: datetime,
        path_length: int | None = 0,
    ) -> x509.Certificate:
        """The certificate of a CA below this one, whose private key is elsewhere."""
        builder = self._issue(common_name(name), public_key, not_before, not_after)
        return _as_authority(builder, path_length).sign(self.key, self.signature_hash)

    def issue_leaf(
        self,
        name: str,
        public_key: PublicKey,
        profile: LeafProfile,
        *,
        not_before: datetime,
        not_after: datetime,
    ) -> x509.Certificate:
        """An end-entity certificate for `public_key` with the common name `name`."""
        builder = (
            self._issue(common_name(name), public_key, not_before, not_after)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=profile.constraints_critical)
            .add_extension(key_usage(key_encipherment=profile.key_encipherment), critical=True)
            .add_extension(x509.ExtendedKeyUsage(list(profile.extended_key_usages)), critical=False)
        )
        if profile.alternative_names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(list(profile.alternative_names)), critical=False
            )
        return builder.sign(self.key, self.signature_hash)

    def _issue(
        self, subject: x509.Name, public_key: PublicKey, not_before: datetime, not_after: datetime
    ) -> x509.CertificateBuilder:
        return _builder(subject, self.certificate.subject, public_key, self.key.public_key(), not_before, not_after)


def pem_chain(certificates: Iterable[x509.Certificate]) -> bytes:
    """The certificates as PEM, one after the other."""
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)


def der(certificate: x509.Certificate) -> bytes:
    """The certificate as DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def pem_private_key(key: PrivateKey, password: bytes | None = None) -> bytes:
    """The private key as PKCS#8 PEM, encrypted where a password is given."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def read_private_key(pem: bytes, passphrase: bytes | None = None, what: str = "the PEM text") -> PrivateKey:
    """A private key from PEM, encrypted or not; a passphrase that the key does not need is passed over.

    what: the key as it is called where it cannot be used. Raises: ValueError where no EC or RSA key is in it, or its
    passphrase is missing or wrong.
    """
    encrypted = is_encrypted(pem)
    if encrypted and not passphrase:
        raise ValueError(f"{what} is encrypted: say where its passphrase is")
    try:
        key = serialization.load_pem_private_key(pem, passphrase if encrypted else None)
    except ValueError as problem:
        wrong = "cannot be opened with this passphrase" if encrypted else "holds no private key"
        raise ValueError(f"{what} {wrong}") from problem
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError(f"{what} holds a key that is neither EC nor RSA")  # noqa: TRY004 - the text's value is wrong
    return key


def is_encrypted(pem: bytes) -> bool:
    """Whether a private key is encrypted, in PKCS#8 or in OpenSSL's older form."""
    return b"ENCRYPTED" in pem


def thumbprint(certificate: x509.Certificate) -> str:
    """The SHA-256 thumbprint as lower-case hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def key_identifier(certificate: x509.Certificate) -> str:
    """The subject key identifier that belongs to the certificate's key (RFC 5280, method 1), as lower-case hex."""
    return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest.hex()


def sha1_thumbprint(certificate: x509.Certificate) -> str:
    """The SHA-1 thumbprint as lower-case hex: what Azure's resources and portal show. It secures nothing."""
    return certificate.fingerprint(hashes.SHA1()).hex()  # noqa: S303 - it names a certificate and proves nothing


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's name and key are behind the certificate. Dates and extensions are not looked at."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: PublicKey,
    issuer_key: PublicKey,
    not_before: datetime,
    not_after: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _as_authority(builder: x509.CertificateBuilder, path_length: int | None) -> x509.CertificateBuilder:
    return builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True).add_extension(
        key_usage(certificate_authority=True), critical=True
    )
