"""From what a device claims to what is believed of its certificate.

A device's clock may be wrong and a device may lie, so a claim is measured against what the service knows: when it first
heard of the certificate, and how long the issuing policy lets one live.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from shared.contracts import normal_serial, normal_thumbprint
from shared.domain.events import Claim
from shared.domain.own_certificate import NotItsOwn, own_certificate
from shared.domain.policy import BeliefPolicy
from shared.domain.record import Certificate, Evidence
from shared.errors import BadEvent


@dataclass(frozen=True, slots=True)
class Belief:
    """A certificate as it is believed, and what contradicted the claim (None: nothing)."""

    certificate: Certificate
    mismatch: str | None = None


def believe(claim: Claim, registration_id: str, first_seen: datetime, policy: BeliefPolicy) -> Belief:
    """What a claim is worth.

    Raises: BadEvent where the PEM is no certificate of this device.
    """
    if claim.pem is None:
        if policy.require_pem:
            raise BadEvent("certificate.pem is missing, and dates alone are not believed here (REQUIRE_PEM)")
        return _bounded(_reported(claim, first_seen), policy)
    try:
        certificate = own_certificate(claim.pem, registration_id)
        parsed = _parsed(certificate, first_seen)
    except NotItsOwn as problem:
        raise BadEvent(f"certificate.pem cannot be used: {problem}") from problem
    except (ValueError, UnsupportedAlgorithm) as problem:
        raise BadEvent("certificate.pem cannot be used: its issuer or its key cannot be read") from problem
    if _is_signed_by_one_of(policy.issuers, certificate):
        return Belief(replace(parsed, evidence=Evidence.VERIFIED), _contradiction(claim, parsed))
    bounded = _bounded(parsed, policy)
    stranger = "no trusted issuing CA has signed the certificate" if policy.issuers else None
    return replace(bounded, mismatch=bounded.mismatch or _contradiction(claim, parsed) or stranger)


def merge(known: Certificate, heard: Certificate) -> Belief:
    """Two accounts of one certificate: the stronger evidence wins, and of equals the earlier end.

    The first sight of it stays, whatever comes later.
    """
    first_seen = min(known.first_seen, heard.first_seen)
    if heard.evidence.strength > known.evidence.strength:
        return Belief(replace(heard, first_seen=first_seen))
    mismatch = None
    if heard.valid_until != known.valid_until:
        mismatch = f"validUntil was {known.valid_until.isoformat()}, now {heard.valid_until.isoformat()}"
    if heard.evidence is known.evidence and heard.valid_until < known.valid_until:
        return Belief(replace(heard, first_seen=first_seen), mismatch)
    return Belief(replace(known, first_seen=first_seen), mismatch)


def _reported(claim: Claim, first_seen: datetime) -> Certificate:
    thumbprint = normal_thumbprint(claim.thumbprint) if claim.thumbprint else None
    return Certificate(
        identity=thumbprint or f"{claim.valid_from.isoformat()}/{claim.valid_until.isoformat()}",
        valid_from=claim.valid_from,
        valid_until=claim.valid_until,
        evidence=Evidence.REPORTED,
        first_seen=first_seen,
        thumbprint=thumbprint,
        serial_number=normal_serial(claim.serial_number) if claim.serial_number else None,
        issuer=claim.issuer,
    )


def _bounded(certificate: Certificate, policy: BeliefPolicy) -> Belief:
    """The certificate within what the service knows: begun by now, and ended by what the policy could issue."""
    latest = certificate.first_seen + policy.validity
    mismatch = None
    if certificate.valid_from > certificate.first_seen + policy.skew:
        mismatch = f"validFrom {certificate.valid_from.isoformat()} lies in the future"
        certificate = replace(certificate, valid_from=certificate.first_seen)
    if certificate.valid_until > latest + policy.skew:
        mismatch = mismatch or f"validUntil {certificate.valid_until.isoformat()} is later than the policy issues"
        certificate = replace(certificate, valid_until=latest)
    if certificate.valid_until <= certificate.valid_from:
        raise BadEvent("the certificate ended before it could have begun")
    return Belief(certificate, mismatch)


def _is_signed_by_one_of(issuers: Iterable[x509.Certificate], certificate: x509.Certificate) -> bool:
    """Whether a trusted issuing CA signed it, within the CA's own validity. (Path length and name constraints are IoT
    Hub's to check: it refuses the connection, and no claim about such a certificate would help a device.)"""
    return any(_has_signed(issuer, certificate) for issuer in issuers)


def _has_signed(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    if certificate.not_valid_before_utc < issuer.not_valid_before_utc:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError):  # another name, another algorithm, a forged signature
        return False
    return True


def _parsed(certificate: x509.Certificate, first_seen: datetime) -> Certificate:
    thumbprint = certificate.fingerprint(hashes.SHA256()).hex()
    return Certificate(
        identity=thumbprint,
        valid_from=certificate.not_valid_before_utc,
        valid_until=certificate.not_valid_after_utc,
        evidence=Evidence.PARSED,
        first_seen=first_seen,
        thumbprint=thumbprint,
        serial_number=normal_serial(f"{certificate.serial_number:x}"),
        issuer=certificate.issuer.rfc4514_string(),
        authority_key_id=_authority_key_id(certificate),
        key_algorithm=_key_algorithm(certificate),
    )


def _authority_key_id(certificate: x509.Certificate) -> str | None:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None
    identifier = extension.value.key_identifier
    return identifier.hex() if identifier else None


def _key_algorithm(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name
    return f"rsa{key.key_size}" if isinstance(key, rsa.RSAPublicKey) else type(key).__name__


def _contradiction(claim: Claim, parsed: Certificate) -> str | None:
    """Where the claim's own members disagree with its PEM. The PEM is believed."""
    if claim.valid_until.replace(microsecond=0) != parsed.valid_until:
        return f"validUntil {claim.valid_until.isoformat()} is not the certificate's {parsed.valid_until.isoformat()}"
    if claim.thumbprint is not None and normal_thumbprint(claim.thumbprint) != parsed.thumbprint:
        return "thumbprint is not the certificate's"
    return None
