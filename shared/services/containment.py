"""Containment: shutting a device out at the hub and at DPS, and being sure of it.

Intent is stored first, and each step when it is done, so that a crash or a throttle resumes where it stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from shared.clock import Clock
from shared.domain import containing
from shared.domain.changes import Reduction
from shared.domain.containing import Step, next_step
from shared.domain.presence import Seen
from shared.domain.record import Actor, BlockState, DeviceRecord
from shared.errors import Conflict, InfrastructureFault, NotFound, RevocationUnavailable
from shared.services.outbox import Outbox
from shared.services.ports import Hub, Identity, Provisioning
from shared.services.rows import Stored
from shared.services.store import FleetStore

_log = logging.getLogger(__name__)

STATUS_REASON_BYTES = 128
"""The longest statusReason (Azure docs: IoT Hub identity registry), in UTF-8."""


class LastSeen(Protocol):
    """What the connection events told last."""

    async def of(self, device_id: str) -> Seen | None:
        """The latest that was heard of the device's connection, or None. Raises: InfrastructureFault."""


class Containment:
    """Disables devices. Without a disconnect event, two looks `look_interval` apart prove a connection gone.

    last_seen: None where connection events are not read.
    """

    def __init__(
        self,
        store: FleetStore,
        outbox: Outbox,
        hub: Hub,
        provisioning: Provisioning,
        clock: Clock,
        look_interval: timedelta = timedelta(minutes=5),
        last_seen: LastSeen | None = None,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._hub = hub
        self._provisioning = provisioning
        self._clock = clock
        self._look_interval = look_interval
        self._last_seen = last_seen

    async def disable(
        self,
        device_id: str,
        actor: Actor,
        reason: str,
        onboarding_pem: str | None = None,
        operation_id: str | None = None,
    ) -> DeviceRecord:
        """Stores the intent and starts the work. A device that is being shut out already stays as it is.

        operation_id: the bulk operation that it is a part of, for the history.

        Raises: NotFound, InfrastructureFault.
        """
        known = await self._store.load(device_id)
        newcomer = None if known else await self._newcomer(device_id)
        now = self._clock.now()
        written = await self._store.update(
            [device_id],
            lambda _, record: containing.requested(record or _known(newcomer), actor, reason, onboarding_pem, now),
        )
        await self._outbox.dispatch(written)
        stored = await self._store.load(device_id)
        return stored.record if stored else _known(newcomer)

    async def enable(self, device_id: str, actor: Actor, reason: str) -> DeviceRecord:
        """Undoes what `disable` did, and only that; the queue does the work. A fresh certificate is expected then.

        A device that is being enabled already stays as it is. Raises: NotFound, NotPossible where the device is not
        shut out, InfrastructureFault.
        """
        raise NotImplementedError  # the contract stands; the work follows on this branch

    async def revoke(self, device_id: str, actor: Actor, reason: str) -> DeviceRecord:
        """Makes every certificate that was ever issued to the device invalid; it may come back through DPS.

        Raises: RevocationUnavailable where no ADR namespace is configured, NotFound, NotPossible for a retired device,
        InfrastructureFault.
        """
        raise RevocationUnavailable

    async def advance(self, message: Mapping[str, Any]) -> None:
        """Takes the steps of `{deviceId}` that are still to be done, as far as they go now.

        Raises: InfrastructureFault, KeyError for a message that is none of ours.
        """
        device_id = str(message["deviceId"])
        while (stored := await self._store.load(device_id)) is not None:
            containment = stored.record.containment
            step = next_step(containment) if containment else Step.DONE
            if step is Step.DONE:
                return
            looked = await self._take(step, stored.record)
            if step is Step.VERIFY:
                await self._outbox.dispatch(looked, with_work=False)
                return

    async def _take(self, step: Step, record: DeviceRecord) -> list[Stored]:
        """One step, and its progress stored."""
        _log.info("containment of %s: %s", record.device_id, step)
        now = self._clock.now
        match step:
            case Step.DISABLE_IDENTITY:
                await self._disable_identity(record)
                return await self._progress(record, lambda r: containing.identity_disabled(r, now()))
            case Step.LOOK_AT_ENROLLMENT:
                existed = await self._provisioning.has_enrollment(record.registration_id)
                return await self._progress(record, lambda r: containing.enrollment_looked_at(r, existed, now()))
            case Step.BLOCK_REGISTRATION:
                state = await self._block(record)
                return await self._progress(record, lambda r: containing.registration_blocked(r, state, now()))
            case Step.RECHECK_IDENTITY:
                await self._disable_identity(record)
                return await self._progress(record, lambda r: containing.identity_rechecked(r, now()))
            case _:
                return await self._verify(record)

    async def _verify(self, record: DeviceRecord) -> list[Stored]:
        """A disconnect event after the intent is proof; the registry alone lags, so that it is looked at twice."""
        identity = await self._disable_identity(record)
        connected = identity is not None and identity.connected
        seen = await self._last_seen.of(record.device_id) if self._last_seen else None
        now, gone_at = self._clock.now(), _gone_at(seen, record)
        if gone_at is not None:
            return await self._progress(record, lambda r: containing.disconnected(r, gone_at, now))
        return await self._progress(record, lambda r: containing.looked(r, connected, now, self._look_interval))

    async def _disable_identity(self, record: DeviceRecord) -> Identity | None:
        """Sees to it that the hub's identity is disabled; None where the hub has none."""
        containment = record.containment
        reason = shortened(f"fleetcert: {containment.reason}" if containment else "fleetcert")
        for _ in range(3):
            identity = await self._hub.get_identity(record.device_id)
            if identity is None or identity.status == "disabled":
                return identity
            try:
                return await self._hub.set_status(identity, "disabled", reason)
            except Conflict:
                _log.info("the identity of %s changed meanwhile: reading it again", record.device_id)
        raise InfrastructureFault("IoT Hub", f"the identity of {record.device_id} kept changing")

    async def _block(self, record: DeviceRecord) -> BlockState:
        """The DPS block must match the group's attestation, else it is a placeholder that nobody has proven."""
        containment = record.containment
        try:
            block = await self._provisioning.block(
                record.registration_id, containment.onboarding_pem if containment else None
            )
        except Conflict as conflict:
            raise InfrastructureFault("DPS", f"the enrollment of {record.registration_id} changed") from conflict
        stood_there_before = containment is not None and containment.enrollment_created is False
        if block.attestation == "x509" or stood_there_before:
            return BlockState.BLOCKED
        group = record.enrollment_group or await self._provisioning.enrollment_group_of(record.registration_id)
        attestation = await self._provisioning.group_attestation(group) if group else None
        return BlockState.BLOCKED if attestation == "symmetricKey" else BlockState.BLOCKED_UNVERIFIED

    async def _progress(self, record: DeviceRecord, step: Any) -> list[Stored]:
        def reducer(_: str, current: DeviceRecord | None) -> Reduction | None:
            return step(current) if current and current.containment else None

        return await self._store.update([record.device_id], reducer)

    async def _newcomer(self, device_id: str) -> DeviceRecord:
        """A record for a device that the hub knows and we do not: it too can be shut out."""
        if await self._hub.get_identity(device_id) is None:
            raise NotFound("device", device_id)
        now = self._clock.now()
        return DeviceRecord(device_id=device_id, registration_id=device_id, hub="", first_seen=now, updated_at=now)


def _gone_at(seen: Seen | None, record: DeviceRecord) -> datetime | None:
    """When the device disconnected, if that is the last that was heard of it and happened after the intent."""
    if seen is None or seen.connected or record.containment is None:
        return None
    return seen.at if seen.at >= record.containment.requested_at else None


def shortened(reason: str) -> str:
    """A statusReason within IoT Hub's limit, cut between characters."""
    return reason.encode()[:STATUS_REASON_BYTES].decode(errors="ignore")


def _known(record: DeviceRecord | None) -> DeviceRecord:
    if record is None:
        raise InfrastructureFault("table", "a record vanished while it was written")
    return record
