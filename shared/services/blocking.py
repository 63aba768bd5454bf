"""The DPS block: a disabled individual enrollment, which wins over the group and must attest as the device does."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from shared.domain.containing import contained, occasion
from shared.domain.own_certificate import NotItsOwn, leaf_of
from shared.domain.record import Before, DeviceRecord
from shared.errors import EnrollmentRefused
from shared.logs import about
from shared.services.intents import Intents
from shared.services.ports import Credential, Enrollment, Leaves, Provisioning

MOST_LEAVES: Final = 2
"""An enrollment has a primary and a secondary certificate."""
_UNKNOWN: Final = Credential("unknown")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Blocked:
    """A block that stands. is_proven: DPS turns the device away by it, as far as is known."""

    etag: str
    is_proven: bool


class Blocking:
    """Blocks registrations. leaves: None where no inventory is imported."""

    def __init__(self, provisioning: Provisioning, leaves: Leaves | None, intents: Intents) -> None:
        self._provisioning = provisioning
        self._leaves = leaves
        self._intents = intents

    async def before(self, record: DeviceRecord) -> Before:
        """What stands at DPS before the block. A block of ours counts as nothing."""
        enrollment = await self._provisioning.enrollment(record.registration_id)
        return Before.ABSENT if enrollment is None or enrollment.mark else enrollment.status

    async def block(self, record: DeviceRecord) -> Blocked | None:
        """The block as it stands now; None where something else is wanted by now.

        After a release that was stopped the enrollment is written in any case: what that had sent meets a new ETag.
        Raises: Conflict, InfrastructureFault.
        """
        standing = await self._provisioning.enrollment(record.registration_id)
        if standing is not None and not standing.mark:
            return await self._disabled_in_place(record, standing)
        credential = await self._credential(record)
        if not await self._intents.are_as_in(record):
            return None
        written = await self._written(record, standing, credential)
        return Blocked(written.etag, self._is_proven(record, standing, written, credential))

    async def _disabled_in_place(self, record: DeviceRecord, standing: Enrollment) -> Blocked | None:
        """The device came in by this enrollment, so that it attests as the device does."""
        stood = standing.status is Before.DISABLED
        if not stood or contained(record).supersedes:
            if not await self._intents.are_as_in(record):
                return None
            standing = await self._provisioning.set_enrollment_status(standing, Before.DISABLED)
        return Blocked(standing.etag, not (stood and contained(record).passed_at))

    async def _written(self, record: DeviceRecord, standing: Enrollment | None, credential: Credential) -> Enrollment:
        try:
            return await self._put(record, standing, credential)
        except EnrollmentRefused as refused:
            if credential == _UNKNOWN:
                raise
            device_id = record.device_id
            fields = about(device_id=device_id)
            _log.warning(
                "DPS does not take %s's credential, it gets a placeholder: %s", device_id, refused, extra=fields
            )
            return await self._put(record, standing, _UNKNOWN)

    async def _put(self, record: DeviceRecord, standing: Enrollment | None, credential: Credential) -> Enrollment:
        mark = occasion(record)
        if standing is None:
            return await self._provisioning.create_block(record.registration_id, credential, mark)
        return await self._provisioning.rewrite_block(standing, credential, mark)

    def _is_proven(
        self, record: DeviceRecord, standing: Enrollment | None, written: Enrollment, credential: Credential
    ) -> bool:
        """Not by a placeholder; and not by what stood there already when the device came in all the same."""
        if credential.kind == "unknown" or written.attestation != credential.kind:
            return False
        if standing is None or contained(record).passed_at is None:
            return True
        return standing.status is not Before.DISABLED or standing.attestation != written.attestation

    async def _credential(self, record: DeviceRecord) -> Credential:
        """How the device proves itself: as its group says, by the certificate that is known of it."""
        registration_id = record.registration_id
        group = record.enrollment_group or await self._provisioning.enrollment_group_of(registration_id)
        attestation = await self._provisioning.group_attestation(group) if group else None
        if group and attestation == "symmetricKey":
            return Credential("symmetricKey", group=group)
        leaves = tuple(dict.fromkeys([leaf async for leaf in self._known_leaves(record)]))[:MOST_LEAVES]
        return Credential("x509", leaves) if leaves else _UNKNOWN

    async def _known_leaves(self, record: DeviceRecord) -> AsyncIterator[str]:
        """From the surest to what the device itself said."""
        containment = contained(record)
        issued = await self._leaves.of([record.registration_id]) if self._leaves else {}
        imported = issued.get(record.registration_id)
        for pem in (containment.onboarding_pem, imported.pem if imported else None, containment.reported_pem):
            if pem is None:
                continue
            try:
                yield leaf_of(pem, record.registration_id)
            except NotItsOwn as problem:
                device_id = record.device_id
                fields = about(device_id=device_id)
                _log.warning("an onboarding certificate of %s is of no use: %s", device_id, problem, extra=fields)
