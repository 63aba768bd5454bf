"""Containment: shutting a device out, letting it in again, revoking its certificates.

Intent is stored first, and each step when it is done, so that a crash or a throttle resumes where it stopped. Where
intents meet, shutting out wins: over a renewal, a registration and a release that are on their way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from shared.clock import Clock
from shared.contracts import parse_instant
from shared.domain import containing, releasing, revoking
from shared.domain.changes import Reduction
from shared.domain.containing import Plan, Step, next_step
from shared.domain.own_certificate import NotItsOwn, leaf_of
from shared.domain.record import Actor, DeviceRecord, State
from shared.domain.record import Containment as Progress
from shared.domain.releasing import next_restoring
from shared.domain.verifying import Sighting, reappeared
from shared.errors import Conflict, InfrastructureFault, NotFound, NotPossible
from shared.logs import about
from shared.services.blocking import Blocking
from shared.services.conditions import Condition, whatever_stands
from shared.services.intents import Intents
from shared.services.letting_in import LettingIn
from shared.services.outbox import Outbox
from shared.services.ports import DeviceRegistry, Hub, Leaves, Provisioning
from shared.services.revoking import Revoking
from shared.services.rows import Stored
from shared.services.shutting_out import LastSeen, ShuttingOut
from shared.services.store import FleetStore

_log = logging.getLogger(__name__)

MOST_STEPS: Final = 30
"""Of one call; what takes more is met by somebody else's changes at every step."""

type Wish = Callable[[DeviceRecord | None], Reduction | None]


class Containment:
    """Disables, enables and revokes. Without a disconnect event, two looks `look_interval` apart prove a device gone.

    last_seen: None where connection events are not read. leaves: of imported inventories. registry: None without an ADR
    namespace. purges: whether the messages that wait for a device are removed, other back ends' too.
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
        leaves: Leaves | None = None,
        registry: DeviceRegistry | None = None,
        *,
        purges: bool = False,
    ) -> None:
        intents = Intents(store)
        blocking = Blocking(provisioning, leaves, intents)
        self._store = store
        self._outbox = outbox
        self._hub = hub
        self._clock = clock
        self._plan = Plan(purges=purges, registry=registry is not None)
        self._shutting_out = ShuttingOut(intents, hub, blocking, registry, last_seen, clock, look_interval)
        self._letting_in = LettingIn(intents, hub, provisioning, registry, clock, look_interval)
        self._revoking = Revoking(intents, registry, clock)

    async def disable(
        self,
        device_id: str,
        actor: Actor,
        reason: str,
        onboarding_pem: str | None = None,
        operation_id: str = "",
        condition: Condition = whatever_stands,
    ) -> DeviceRecord:
        """Stores the intent and starts the work. A device that is being shut out already stays as it is.

        onboarding_pem: the device's onboarding certificate, where it is not known; it may be given later, too.
        operation_id: the bulk operation that this is a part of, for the history.
        Raises: NotFound, NotPossible for a certificate that is not the device's, PreconditionFailed,
        InfrastructureFault.
        """
        known = await self._store.load(device_id)
        newcomer = known.record if known else await self._newcomer(device_id)
        if onboarding_pem is not None:
            _require_its_own(onboarding_pem, newcomer)
        now = self._clock.now()
        return await self._wanted(
            device_id,
            lambda record: containing.requested(record or newcomer, actor, reason, onboarding_pem, now, operation_id),
            newcomer,
            condition,
        )

    async def enable(
        self,
        device_id: str,
        actor: Actor,
        reason: str,
        condition: Condition = whatever_stands,
        *,
        is_again: bool = False,
    ) -> DeviceRecord:
        """Undoes what `disable` did, and only that; the queue does the work. A fresh certificate is expected then.

        A device that is being let in already stays as it is. is_again: the same request may have been heard already,
        and a device that is not shut out any more is what came of it. Raises: NotFound, NotPossible where the device is
        not shut out, PreconditionFailed, InfrastructureFault.
        """
        known = await self._known(device_id)
        now = self._clock.now()

        def wish(record: DeviceRecord | None) -> Reduction | None:
            if record is None or record.containment is None:
                if is_again:
                    return None
                raise NotPossible(f"{device_id} is not disabled: there is nothing to undo")
            return releasing.release_requested(record, actor, reason, now)

        return await self._wanted(device_id, wish, known, condition)

    async def revoke(
        self,
        device_id: str,
        actor: Actor,
        reason: str,
        condition: Condition = whatever_stands,
        *,
        asked_at: datetime | None = None,
        is_again: bool = False,
    ) -> DeviceRecord:
        """Makes every certificate worthless that was ever issued to the device; it may come back through DPS.

        A revocation that is under way stays as it is. asked_at: the instant that the request is known by. is_again: the
        same request may have been heard already, and then nothing is revoked again. Raises: RevocationUnavailable where
        no ADR namespace is configured, NotFound, NotPossible for a device that is retired or that ADR does not know,
        PreconditionFailed, InfrastructureFault.
        """
        known = await self._known(device_id)
        at = asked_at or self._clock.now()
        if is_again and revoking.was_heard(known, at):
            return known
        if known.state is State.RETIRED:
            raise NotPossible(f"{device_id} is retired: the hub has no such device")
        await self._revoking.check(device_id)

        def wish(record: DeviceRecord | None) -> Reduction | None:
            if is_again and record is not None and revoking.was_heard(record, at):
                return None
            return revoking.revoke_requested(record or known, actor, reason, at)

        return await self._wanted(device_id, wish, known, condition)

    @property
    def can_revoke(self) -> bool:
        """Whether certificates can be revoked here: an ADR namespace is configured."""
        return self._plan.registry

    async def advance(self, message: Mapping[str, Any]) -> None:
        """Takes the steps of `{deviceId}` that are still to be done, as far as they go now.

        With `connectedAt` the device was seen connected then, and a containment that was done with begins again.
        Raises: InfrastructureFault, KeyError for a message that is none of ours.
        """
        device_id = str(message["deviceId"])
        if "connectedAt" in message:
            await self._reappeared(device_id, parse_instant(str(message["connectedAt"])))
        for _ in range(MOST_STEPS):
            stored = await self._store.load(device_id)
            if stored is None or not stored.record.has_containment_work:
                return
            try:
                if not await self._step(stored.record):
                    return
            except Conflict as conflict:
                fields = about(device_id=device_id)
                _log.info("%s changed meanwhile and is read again: %s", device_id, conflict, extra=fields)
        raise InfrastructureFault("containment", f"{device_id} kept changing")

    async def _step(self, record: DeviceRecord) -> bool:
        """One step; whether the next may follow at once. Raises: Conflict, InfrastructureFault."""
        waits, written = await self._taken(record)
        latest = written[-1].record if written else None
        if waits or latest is None or not latest.has_containment_work:
            await self._outbox.dispatch(written, with_work=False)
        return not waits and (latest is None or latest.has_containment_work)

    async def _taken(self, record: DeviceRecord) -> tuple[bool, list[Stored]]:
        """Takes the next step: whether time has to pass before another, and what was written.

        A revocation, which may wait for ADR, goes on where the containment waits: it keeps nobody in.
        """
        containment, revocation = record.containment, record.revocation
        waits, written = True, list[Stored]()
        if containment is not None and containment.has_work:
            waits, written = await self._contained(record, containment)
        if waits and revocation is not None and revocation.has_work:
            moved = await self._revoking.advance(record)
            return not moved, moved or written
        return waits, written

    async def _contained(self, record: DeviceRecord, containment: Progress) -> tuple[bool, list[Stored]]:
        if containment.release is not None:
            restoring = next_restoring(containment, containment.release)
            written = await self._letting_in.take(restoring, record)
            return restoring is releasing.Restoring.LOOK_AGAIN, written
        step = next_step(containment, self._plan)
        return step is Step.VERIFY, await self._shutting_out.take(step, record)

    async def _reappeared(self, device_id: str, seen_at: datetime) -> None:
        now = self._clock.now()
        await self._store.update(
            [device_id],
            lambda _, record: reappeared(record, Sighting.CONNECTED, seen_at, now) if record else None,
        )

    async def _wanted(
        self, device_id: str, wish: Wish, known: DeviceRecord, condition: Condition = whatever_stands
    ) -> DeviceRecord:
        """Stores a wish and starts its work; the record as it is then."""

        def reducer(_: str, record: DeviceRecord | None) -> Reduction | None:
            condition(record)
            return wish(record)

        written = await self._store.update([device_id], reducer)
        await self._outbox.dispatch(written)
        stored = await self._store.load(device_id)
        return stored.record if stored else known

    async def _known(self, device_id: str) -> DeviceRecord:
        stored = await self._store.load(device_id)
        if stored is None:
            raise NotFound("device", device_id)
        return stored.record

    async def _newcomer(self, device_id: str) -> DeviceRecord:
        """A record for a device that the hub knows and we do not: it too can be shut out."""
        if await self._hub.get_identity(device_id) is None:
            raise NotFound("device", device_id)
        now = self._clock.now()
        return DeviceRecord(device_id=device_id, registration_id=device_id, hub="", first_seen=now, updated_at=now)


def _require_its_own(pem: str, record: DeviceRecord) -> None:
    try:
        leaf_of(pem, record.registration_id)
    except NotItsOwn as problem:
        raise NotPossible(f"onboardingPem is not the certificate of {record.device_id}: {problem}") from problem
