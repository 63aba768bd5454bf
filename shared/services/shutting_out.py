"""The steps by which a device is shut out: at the hub, at DPS, in the ADR namespace, and the proof that it is gone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Protocol

from shared import telemetry
from shared.clock import Clock
from shared.domain import containing, verifying
from shared.domain.changes import Reduction
from shared.domain.containing import Step, contained
from shared.domain.presence import Seen
from shared.domain.record import Before, BlockState, DeviceRecord
from shared.domain.status_reason import is_ours, status_reason
from shared.errors import NotFound
from shared.services.blocking import Blocking
from shared.services.intents import Intents
from shared.services.ports import DeviceRegistry, Hub, Identity
from shared.services.rows import Stored

_MEASURED: Final = {
    Step.DISABLE_IDENTITY: "hub",
    Step.BLOCK_REGISTRATION: "dps",
    Step.VERIFY: "disconnected",
}

type Noting = Callable[[DeviceRecord, datetime], Reduction]


class LastSeen(Protocol):
    """What the connection events told last."""

    async def of(self, device_id: str) -> Seen | None:
        """The latest that was heard of the device's connection, or None. Raises: InfrastructureFault."""


class ShuttingOut:
    """Takes the steps. Without a disconnect event, two looks `look_interval` apart prove a connection gone.

    registry: None without an ADR namespace. last_seen: None where connection events are not read.
    """

    def __init__(
        self,
        intents: Intents,
        hub: Hub,
        blocking: Blocking,
        registry: DeviceRegistry | None,
        last_seen: LastSeen | None,
        clock: Clock,
        look_interval: timedelta,
    ) -> None:
        self._intents = intents
        self._hub = hub
        self._blocking = blocking
        self._registry = registry
        self._last_seen = last_seen
        self._clock = clock
        self._look_interval = look_interval

    async def take(self, step: Step, record: DeviceRecord) -> list[Stored]:
        """One step, and its progress stored; nothing where something else is wanted by now.

        Raises: Conflict where what it was to change has changed, InfrastructureFault.
        """
        written = await self._taken(step, record)
        for stored in written:
            _measure(step, stored.record, self._clock.now())
        return written

    async def _taken(self, step: Step, record: DeviceRecord) -> list[Stored]:
        match step:
            case Step.LOOK_AT_IDENTITY:
                return await self._look_at_identity(record)
            case Step.DISABLE_IDENTITY:
                return await self._disable_identity(record)
            case Step.LOOK_AT_ENROLLMENT:
                before = await self._blocking.before(record)
                return await self._note(record, lambda r, now: containing.enrollment_looked_at(r, before, now))
            case Step.BLOCK_REGISTRATION:
                return await self._block(record)
            case Step.RECHECK_IDENTITY:
                return await self._recheck_identity(record)
            case Step.PURGE_COMMANDS:
                count = await self._hub.purge_commands(record.device_id)
                return await self._note(record, lambda r, now: containing.commands_purged(r, count, now))
            case Step.LOOK_AT_REGISTRY | Step.DISABLE_IN_REGISTRY:
                return await self._disable_in_registry(step, record)
            case _:
                return await self._verify(record)

    async def _look_at_identity(self, record: DeviceRecord) -> list[Stored]:
        """One that bears our mark was disabled by a containment of which the record knows no more."""
        identity = await self._hub.get_identity(record.device_id)
        before, reason = Before.ABSENT, ""
        if identity is not None:
            ours = identity.status == "disabled" and is_ours(identity.status_reason)
            before, reason = (Before.ENABLED, "") if ours else (Before(identity.status), identity.status_reason)
        return await self._note(record, lambda r, now: containing.identity_looked_at(r, before, reason, now))

    async def _disable_identity(self, record: DeviceRecord) -> list[Stored]:
        """After a release that was stopped the identity is written in any case: what that had sent meets a new ETag."""
        await self._see_to_it(record, fence=contained(record).supersedes)
        return await self._note(record, containing.identity_disabled)

    async def _recheck_identity(self, record: DeviceRecord) -> list[Stored]:
        await self._see_to_it(record)
        return await self._note(record, containing.identity_rechecked)

    async def _see_to_it(self, record: DeviceRecord, *, fence: bool = False) -> Identity | None:
        """Sees to it that the hub's identity is disabled; None where the hub has none. Raises: Conflict."""
        identity = await self._hub.get_identity(record.device_id)
        if identity is None or (identity.status == "disabled" and not fence):
            return identity
        if not await self._intents.are_as_in(record):
            return identity
        if identity.status == "disabled" and not is_ours(identity.status_reason):
            return identity  # somebody else's: it stays theirs
        try:
            return await self._hub.set_status(identity, "disabled", status_reason(contained(record).reason))
        except NotFound:
            return None

    async def _block(self, record: DeviceRecord) -> list[Stored]:
        blocked = await self._blocking.block(record)
        if blocked is None:
            return []
        state = BlockState.BLOCKED if blocked.is_proven else BlockState.BLOCKED_UNVERIFIED
        return await self._note(record, lambda r, now: containing.registration_blocked(r, state, blocked.etag, now))

    async def _disable_in_registry(self, step: Step, record: DeviceRecord) -> list[Stored]:
        if step is Step.LOOK_AT_REGISTRY:
            device = await self._registry.find(record.device_id) if self._registry else None
            before = Before.ABSENT if device is None else Before.ENABLED if device.enabled else Before.DISABLED
            return await self._note(record, lambda r, now: containing.registry_looked_at(r, before, now))
        await self._see_to_registry(record)
        return await self._note(record, containing.registry_disabled)

    async def _see_to_registry(self, record: DeviceRecord) -> None:
        """Sees to it that the device is disabled in the ADR namespace, which knows no condition on a change."""
        device = await self._registry.find(record.device_id) if self._registry else None
        if self._registry and device is not None and device.enabled and await self._intents.are_as_in(record):
            await self._registry.set_enabled(device, enabled=False)

    async def _verify(self, record: DeviceRecord) -> list[Stored]:
        """A disconnect event after the intent is proof; the registry alone lags, so that it is looked at twice.

        Where a release was stopped, some of which may still be on its way, a second look is taken in any case.
        """
        identity = await self._see_to_it(record)
        await self._see_to_registry(record)
        connected = identity is not None and identity.connected
        seen = await self._last_seen.of(record.device_id) if self._last_seen else None
        gone_at = _gone_at(seen, record)
        if gone_at is not None and not contained(record).supersedes:
            return await self._note(record, lambda r, now: verifying.disconnected(r, gone_at, now))
        interval = self._look_interval
        return await self._note(record, lambda r, now: verifying.looked(r, connected, now, interval))

    async def _note(self, record: DeviceRecord, progress: Noting) -> list[Stored]:
        now = self._clock.now()
        return await self._intents.note(record, lambda current: progress(current, now))


def _gone_at(seen: Seen | None, record: DeviceRecord) -> datetime | None:
    """When the device disconnected, if that is the last that was heard of it and happened since the steps began."""
    if seen is None or seen.connected:
        return None
    since = contained(record).begun_at or contained(record).requested_at
    return seen.at if seen.at >= since else None


def _measure(step: Step, record: DeviceRecord, now: datetime) -> None:
    containment = contained(record)
    if step in _MEASURED and (step is not Step.VERIFY or containment.is_verified):
        seconds = (now - (containment.begun_at or containment.requested_at)).total_seconds()
        telemetry.note(telemetry.CONTAINMENT_DURATION, seconds, {"step": _MEASURED[step]})
