"""Onboarding leaves as an inventory has them: what was issued to devices before any of them was heard of. Pure.

An inventory is a file of JSON Lines; `docs/onboarding.md` has its form. It is written by whoever issues for the fleet,
and checked here all the same: a line in the wrong place would let a device be blocked by another's certificate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives import hashes

from shared.contracts import MAX_PEM_BYTES, normal_thumbprint
from shared.domain import reasons
from shared.domain.changes import Reduction
from shared.domain.history import HistoryEntry
from shared.domain.members import instant, json_object, optional_text, text
from shared.domain.own_certificate import NotItsOwn, own_certificate
from shared.domain.policy import RenewalPolicy
from shared.domain.record import DeviceRecord, OnboardingCredential
from shared.domain.reducing import with_a_deadline
from shared.errors import BadEvent

_LONGEST_ID: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A device's onboarding certificate. thumbprint: SHA-256 in hex; pem: the public certificate."""

    registration_id: str
    thumbprint: str
    valid_until: datetime
    pem: str

    @property
    def credential(self) -> OnboardingCredential:
        """As a record keeps it: the certificate itself is read where it is needed."""
        return OnboardingCredential(thumbprint=self.thumbprint, valid_until=self.valid_until)


def parse_leaf(line: bytes) -> Leaf:
    """A line of an inventory. Raises: BadEvent, with the member that is wrong."""
    if b"PRIVATE KEY" in line:
        raise BadEvent("the line holds a private key, which belongs to its device alone")
    members = json_object(line)
    registration_id = text(members, "registrationId")
    if len(registration_id) > _LONGEST_ID:
        raise BadEvent(f"registrationId is longer than {_LONGEST_ID} characters")
    pem = optional_text(members, "pem", MAX_PEM_BYTES)
    if pem is None:
        raise BadEvent("pem is missing")
    try:
        certificate = own_certificate(pem, registration_id)
    except NotItsOwn as problem:
        raise BadEvent(f"pem cannot be used: {problem}") from problem
    leaf = Leaf(
        registration_id=registration_id,
        thumbprint=certificate.fingerprint(hashes.SHA256()).hex(),
        valid_until=certificate.not_valid_after_utc,
        pem=pem,
    )
    if normal_thumbprint(text(members, "thumbprint")) != leaf.thumbprint:
        raise BadEvent("thumbprint is not the certificate's SHA-256")
    if instant(members, "notAfter") != leaf.valid_until:
        raise BadEvent("notAfter is not the certificate's")
    return leaf


def learned(record: DeviceRecord, leaf: Leaf, source: str, at: datetime, policy: RenewalPolicy) -> Reduction | None:
    """The record with the device's leaf; None where it is known. source: the inventory's name."""
    if record.inventoried == leaf.credential:
        return None
    entry = HistoryEntry(
        event_id=f"inventory/{source}/{leaf.thumbprint}",
        at=at,
        kind=reasons.HISTORY_ONBOARDING_IMPORTED,
        reason=source,
        details={"thumbprint": leaf.thumbprint, "validUntil": leaf.valid_until.isoformat()},
    )
    changed = replace(record, inventoried=leaf.credential, updated_at=max(record.updated_at, at))
    return Reduction(with_a_deadline(changed, at, policy), (entry,))
