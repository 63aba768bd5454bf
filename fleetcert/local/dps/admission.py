"""Which enrollment a device comes in by, given what it presents: the heart of attestation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509

from fleetcert.certificates import common_name_of
from fleetcert.local.assumptions import Assumptions
from fleetcert.local.chains import chain_length, is_valid_at
from fleetcert.local.dps.attestation import AuthorityReferences, ClientCertificates, SigningCertificates
from fleetcert.local.dps.authorities import CertificateAuthorities
from fleetcert.local.dps.documents import EnrollmentGroupDocument, IndividualEnrollmentDocument
from fleetcert.local.dps.enrollments import Enrollment, Enrollments
from fleetcert.local.dps.errors import Refusal, unauthorized
from fleetcert.local.symmetric_keys import DeviceToken, SymmetricKeys
from shared.clock import Clock


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a device presents: a chain of certificates (leaf first) or a SAS token, never both."""

    chain: Sequence[x509.Certificate] = ()
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """A device that proved itself to an enrollment, which may nonetheless be disabled.

    leaf: the onboarding certificate. keys: the device's own symmetric keys. distance: certificates between the leaf
    and the trust anchor, both counted; 0 where no chain was followed.
    """

    enrollment: Enrollment[Any]
    leaf: x509.Certificate | None = None
    keys: SymmetricKeys | None = None
    distance: int = 0


class Gate:
    """Finds the enrollment. An individual enrollment wins over every group (Azure docs: concepts-service)."""

    def __init__(
        self,
        id_scope: str,
        individuals: Enrollments[IndividualEnrollmentDocument],
        groups: Enrollments[EnrollmentGroupDocument],
        authorities: CertificateAuthorities,
        clock: Clock,
        assumptions: Assumptions,
    ) -> None:
        self._id_scope = id_scope
        self._individuals = individuals
        self._groups = groups
        self._authorities = authorities
        self._clock = clock
        self._assumptions = assumptions

    def admit(self, registration_id: str, evidence: Evidence) -> Admission:
        """The enrollment by which the device comes in. Raises: Refusal 401."""
        self._check_evidence(registration_id, evidence)
        individual = self._individuals.find(registration_id)
        if individual is None:
            return self._by_group(registration_id, evidence)
        admission = self._proof(individual, registration_id, evidence)
        if admission is not None:
            return admission
        if self._assumptions.block_matches == "credential":
            return self._by_group(registration_id, evidence)
        if individual.is_enabled:
            raise self._no_match(evidence)
        # Only who could have come in otherwise learns that the id is blocked.
        return Admission(individual, self._by_group(registration_id, evidence).leaf)

    def _check_evidence(self, registration_id: str, evidence: Evidence) -> None:
        now = self._clock.now()
        if evidence.token is not None:
            self._check_token(evidence.token, registration_id, now)
        elif not evidence.chain:
            raise unauthorized()
        elif not _names(evidence.chain[0], registration_id) or not is_valid_at(evidence.chain[0], now):
            raise unauthorized("Invalid certificate")

    def _check_token(self, token: str, registration_id: str, now: datetime) -> None:
        try:
            parsed = DeviceToken.parse(token)
        except ValueError as problem:
            raise unauthorized() from problem
        if not parsed.is_for(f"{self._id_scope}/registrations/{registration_id}", now):
            raise unauthorized()

    def _by_group(self, registration_id: str, evidence: Evidence) -> Admission:
        proofs = (self._proof(group, registration_id, evidence) for group in self._groups.all())
        admissions = [proof for proof in proofs if proof is not None]
        if not admissions:
            raise self._no_match(evidence)
        # Where groups attest by a root and by an intermediate below it, the one nearest to the leaf counts
        # (Azure docs: concepts-x509-attestation).
        return min(admissions, key=lambda admission: admission.distance)

    def _proof(self, enrollment: Enrollment[Any], registration_id: str, evidence: Evidence) -> Admission | None:
        match enrollment.attestation:
            case SymmetricKeys() as keys if evidence.token is not None:
                own = keys.derived_for(registration_id) if enrollment.is_group else keys
                signed = DeviceToken.parse(evidence.token).is_signed_with(own)
                return Admission(enrollment, keys=own) if signed else None
            case ClientCertificates(certificates) if evidence.chain:
                leaf = evidence.chain[0]
                return Admission(enrollment, leaf) if leaf in certificates else None
            case SigningCertificates(certificates) if evidence.chain:
                return self._by_chain(enrollment, evidence.chain, certificates)
            case AuthorityReferences(names) if evidence.chain:
                verified = [ca for name in names if (ca := self._authorities.verified(name)) is not None]
                return self._by_chain(enrollment, evidence.chain, verified)
        return None

    def _by_chain(
        self, enrollment: Enrollment[Any], chain: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate]
    ) -> Admission | None:
        length = chain_length(chain, anchors, self._clock.now())
        return None if length is None else Admission(enrollment, chain[0], distance=length)

    def _no_match(self, evidence: Evidence) -> Refusal:
        return unauthorized("CA certificate not found" if evidence.chain else "Unauthorized")


def _names(certificate: x509.Certificate, registration_id: str) -> bool:
    return common_name_of(certificate.subject).casefold() == registration_id.casefold()
