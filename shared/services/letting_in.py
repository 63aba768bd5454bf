"""The steps by which a device is let in again: what containment changed is put back, and nothing else is touched.

What somebody else has changed since stays as they left it, and is told so.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, Literal

from shared.clock import Clock
from shared.domain import releasing
from shared.domain.changes import Reduction
from shared.domain.containing import contained
from shared.domain.record import Before, DeviceRecord
from shared.domain.releasing import Restoring, released
from shared.domain.status_reason import is_ours
from shared.errors import NotFound
from shared.services.intents import Intents
from shared.services.ports import DeviceRegistry, Enrollment, Hub, Provisioning
from shared.services.rows import Stored

RESTORED: Final = "restored"
REMOVED: Final = "removed"
NOTHING: Final = "nothing to undo"
LEFT_ENROLLMENT: Final = "left: somebody else has changed it"

type Noting = Callable[[DeviceRecord, datetime], Reduction]


class LettingIn:
    """Takes the steps. After the last, it is looked again when `look_interval` has passed."""

    def __init__(
        self,
        intents: Intents,
        hub: Hub,
        provisioning: Provisioning,
        registry: DeviceRegistry | None,
        clock: Clock,
        look_interval: timedelta,
    ) -> None:
        self._intents = intents
        self._hub = hub
        self._provisioning = provisioning
        self._registry = registry
        self._clock = clock
        self._look_interval = look_interval

    async def take(self, step: Restoring, record: DeviceRecord) -> list[Stored]:
        """One step, and its progress stored; nothing where the device is to be shut out by now.

        Raises: Conflict where what it was to change has changed, InfrastructureFault.
        """
        match step:
            case Restoring.REGISTRY:
                outcome = await self._restore_in_registry(record)
                return await self._note(record, lambda r, now: releasing.registry_restored(r, outcome, now))
            case Restoring.ENROLLMENT:
                outcome = await self._restore_enrollment(record)
                return await self._note(record, lambda r, now: releasing.enrollment_restored(r, outcome, now))
            case Restoring.IDENTITY:
                outcome = await self._restore_identity(record, fence=contained(record).hub_disabled_at is None)
                return await self._note(record, lambda r, now: releasing.identity_restored(r, outcome, now))
            case Restoring.LOOK_AGAIN:
                return await self._look_again(record)

    async def _look_again(self, record: DeviceRecord) -> list[Stored]:
        """A containment that was under way may have sent something that arrived after it was undone."""
        settles_at, interval = released(record).settles_at, self._look_interval
        if settles_at is None:
            return await self._note(record, lambda r, now: releasing.settling(r, now, interval))
        if self._clock.now() < settles_at:  # deadlines are kept to the second, and come a little early
            return await self._note(record, releasing.too_early)
        outcomes = {
            await self._restore_in_registry(record),
            await self._restore_enrollment(record),
            await self._restore_identity(record),
        }
        if outcomes & {RESTORED, REMOVED}:
            return await self._note(record, lambda r, now: releasing.settling(r, now, interval))
        return await self._note(record, releasing.released_wholly)

    async def _restore_identity(self, record: DeviceRecord, *, fence: bool = False) -> str:
        """Its status and reason, if they are still ours. Raises: Conflict.

        fence: a step that disables it may be on its way; the identity is written in any case, so that it meets a new
        ETag.
        """
        containment = contained(record)
        identity = await self._hub.get_identity(record.device_id)
        if identity is None:
            return "left: the hub has no such device"
        if identity.status == "disabled" and not is_ours(identity.status_reason):
            return f"left: somebody else has disabled it: {identity.status_reason}"
        if (identity.status == "enabled" and not fence) or not await self._intents.are_as_in(record):
            return NOTHING
        before: Literal["enabled", "disabled"] = (
            "disabled" if containment.identity_before is Before.DISABLED else "enabled"
        )
        with suppress(NotFound):  # deleted meanwhile
            await self._hub.set_status(identity, before, containment.identity_reason_before)
        return RESTORED if identity.status == "disabled" else NOTHING

    async def _restore_enrollment(self, record: DeviceRecord) -> str:
        """Ours is removed, another's gets its status back. Raises: Conflict."""
        containment, release = contained(record), released(record)
        enrollment = await self._provisioning.enrollment(record.registration_id)
        if enrollment is None:
            return NOTHING
        if not enrollment.mark:
            return await self._restore_anothers(record, enrollment)
        known = (None, enrollment.etag)
        if release.enrollment_restored_at is None and containment.enrollment_etag not in known:
            return LEFT_ENROLLMENT
        if release.outcomes.get("enrollment") == LEFT_ENROLLMENT or not await self._intents.are_as_in(record):
            return NOTHING
        await self._provisioning.remove(enrollment)
        return REMOVED

    async def _restore_anothers(self, record: DeviceRecord, enrollment: Enrollment) -> str:
        """One that stood there before, and was enabled then."""
        was_enabled = contained(record).enrollment_before is Before.ENABLED
        if not was_enabled or enrollment.status is Before.ENABLED or not await self._intents.are_as_in(record):
            return NOTHING
        await self._provisioning.set_enrollment_status(enrollment, Before.ENABLED)
        return RESTORED

    async def _restore_in_registry(self, record: DeviceRecord) -> str:
        if self._registry is None:
            return "left: no ADR namespace is configured any more"
        if contained(record).registry_before is not Before.ENABLED:
            return NOTHING
        device = await self._registry.find(record.device_id)
        if device is None:
            return "left: the namespace has no such device"
        if device.enabled or not await self._intents.are_as_in(record):
            return NOTHING
        await self._registry.set_enabled(device, enabled=True)
        return RESTORED

    async def _note(self, record: DeviceRecord, progress: Noting) -> list[Stored]:
        now = self._clock.now()
        return await self._intents.note(record, lambda current: progress(current, now))
