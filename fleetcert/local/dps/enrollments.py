"""Enrollments and where they are kept: who may register, how they prove it, and what they get."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from msgspec import structs

from fleetcert.local.dps.attestation import Attestation, read_attestation, write_attestation
from fleetcert.local.dps.documents import EnrollmentDocument, EnrollmentGroupDocument, IndividualEnrollmentDocument
from fleetcert.local.dps.errors import bad_request, not_found, precondition_failed
from fleetcert.local.dps.etags import matches, new_etag
from fleetcert.local.instants import precise
from shared.clock import Clock

IDENTIFIER: Final = re.compile(r"(?=.{1,128}$)[a-zA-Z0-9._:-]*[a-zA-Z0-9-]")
"""Registration ids and group ids (Azure docs: concepts-service, registration ID)."""
DEFAULT_REPROVISION_POLICY: Final = {"updateHubAssignment": True, "migrateDeviceData": True}

type Document = EnrollmentGroupDocument | IndividualEnrollmentDocument


@dataclass(frozen=True, slots=True)
class Enrollment[D: Document]:
    """An enrollment as it is in force. The document's own `attestation` holds no secrets and no certificates."""

    document: D
    attestation: Attestation
    created: datetime

    @property
    def id(self) -> str:
        """The group's id or the registration id."""
        return identifier(self.document)

    @property
    def is_group(self) -> bool:
        """Whether many devices come in by it."""
        return isinstance(self.document, EnrollmentGroupDocument)

    @property
    def is_enabled(self) -> bool:
        """Whether devices may register by it."""
        return self.document.provisioning_status == "enabled"

    @property
    def etag(self) -> str:
        """The present version."""
        return self.document.etag or ""

    def device_id(self, registration_id: str) -> str:
        """The id that the device gets at its hub."""
        chosen = self.document.device_id if isinstance(self.document, IndividualEnrollmentDocument) else None
        return chosen or registration_id


class Enrollments[D: Document]:
    """The enrollments of one kind, under ids that are compared without case."""

    def __init__(self, clock: Clock, hubs: Callable[[], Collection[str]], *, group: bool) -> None:
        self._clock = clock
        self._hubs = hubs
        self._group = group
        self._by_id: dict[str, Enrollment[D]] = {}

    def all(self) -> Sequence[Enrollment[D]]:
        """Every enrollment, oldest first."""
        return tuple(self._by_id.values())

    def find(self, identity: str) -> Enrollment[D] | None:
        """The enrollment, if there is one."""
        return self._by_id.get(identity.casefold())

    def get(self, identity: str) -> Enrollment[D]:
        """Raises: Refusal 404."""
        enrollment = self.find(identity)
        if enrollment is None:
            raise not_found("Enrollment not found")
        return enrollment

    def put(self, document: D, if_match: str | None = None) -> Enrollment[D]:
        """Creates or replaces. Raises: Refusal 400 or 412."""
        identity = identifier(document)
        if not IDENTIFIER.fullmatch(identity):
            raise bad_request(f"The id {identity!r} is not allowed")
        self._check(document)
        existing = self.find(identity)
        if not matches(if_match, existing.etag if existing else None):
            raise precondition_failed()
        enrollment = self._in_force(document, existing)
        self._by_id[identity.casefold()] = enrollment
        return enrollment

    def delete(self, identity: str, if_match: str | None = None) -> None:
        """Raises: Refusal 404 or 412."""
        if not matches(if_match, self.get(identity).etag):
            raise precondition_failed()
        del self._by_id[identity.casefold()]

    def _check(self, document: D) -> None:
        if document.allocation_policy == "custom":
            raise bad_request("Custom allocation is not available here: no webhook is called")
        unknown = sorted(set(allowed_hubs(document)) - set(self._hubs()))
        if unknown:
            raise bad_request(f"The IoT hub {unknown[0]!r} is not linked to this service")

    def _in_force(self, document: D, existing: Enrollment[D] | None) -> Enrollment[D]:
        now = self._clock.now()
        created = existing.created if existing else now
        attestation = read_attestation(
            document.attestation, existing.attestation if existing else None, group=self._group
        )
        stored = structs.replace(
            document,
            attestation=write_attestation(attestation),
            provisioning_status=document.provisioning_status or "enabled",
            reprovision_policy=document.reprovision_policy or dict(DEFAULT_REPROVISION_POLICY),
            allocation_policy=document.allocation_policy or "hashed",
            capabilities=document.capabilities or {"iotEdge": False},
            etag=new_etag(),
            created_date_time_utc=precise(created),
            last_updated_date_time_utc=precise(now),
        )
        return Enrollment(stored, attestation, created)


def identifier(document: EnrollmentDocument) -> str:
    """The group's id or the registration id."""
    if isinstance(document, EnrollmentGroupDocument):
        return document.enrollment_group_id
    assert isinstance(document, IndividualEnrollmentDocument)
    return document.registration_id


def allowed_hubs(document: EnrollmentDocument) -> Sequence[str]:
    """The hubs that the enrollment names; empty where any linked hub will do."""
    return document.iot_hubs or ([document.iot_hub_host_name] if document.iot_hub_host_name else ())
