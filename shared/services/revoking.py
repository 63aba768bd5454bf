"""The steps by which a device's certificates are revoked in the ADR namespace."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from shared.clock import Clock
from shared.domain import revoking
from shared.domain.changes import Reduction
from shared.domain.record import DeviceRecord
from shared.errors import NotPossible, RevocationUnavailable
from shared.services.intents import Intents
from shared.services.ports import DeviceRegistry, RegistryDevice
from shared.services.rows import Stored

type Noting = Callable[[DeviceRecord, datetime], Reduction]


class Revoking:
    """Takes the steps. registry: None without an ADR namespace."""

    def __init__(self, intents: Intents, registry: DeviceRegistry | None, clock: Clock) -> None:
        self._intents = intents
        self._registry = registry
        self._clock = clock

    async def check(self, device_id: str) -> RegistryDevice:
        """The device as the namespace knows it.

        Raises: RevocationUnavailable without a namespace, NotPossible where it knows no such device,
        InfrastructureFault.
        """
        if self._registry is None:
            raise RevocationUnavailable
        device = await self._registry.find(device_id)
        if device is None:
            raise NotPossible(f"the ADR namespace knows no device {device_id}: it never got a certificate there")
        return device

    async def advance(self, record: DeviceRecord) -> list[Stored]:
        """The next step, and its progress stored. Raises: InfrastructureFault.

        A request whose answer was lost is made again, even where the device has got another certificate since. ADR has
        nothing by which a request is known again, and a device shows no trace of one; a certificate that came since may
        have been got by whoever has the leaked key. So what was issued in between is revoked too, the record says so,
        and the device comes back through DPS once more: a revocation that was never made would be worse.
        """
        revocation = revoking.revoked(record)
        if self._registry is None:
            failure = "no ADR namespace is configured any more"
            return await self._note(record, lambda r, now: revoking.revocation_failed(r, failure, now))
        if revocation.monitor:
            return await self._look(record, self._registry, revocation.monitor)
        device = await self._registry.find(record.device_id)
        if device is None:
            failure = "the ADR namespace knows no such device"
            return await self._note(record, lambda r, now: revoking.revocation_failed(r, failure, now))
        monitor = await self._registry.revoke(device)
        if monitor:
            return await self._note(record, lambda r, now: revoking.revocation_accepted(r, monitor, now))
        return await self._note(record, revoking.revocation_done)

    async def _look(self, record: DeviceRecord, registry: DeviceRegistry, monitor: str) -> list[Stored]:
        outcome = await registry.outcome(monitor)
        if not outcome.is_done:
            return []
        if outcome.failure:
            return await self._note(record, lambda r, now: revoking.revocation_failed(r, outcome.failure, now))
        return await self._note(record, revoking.revocation_done)

    async def _note(self, record: DeviceRecord, progress: Noting) -> list[Stored]:
        now = self._clock.now()
        return await self._intents.note(record, lambda current: progress(current, now))
