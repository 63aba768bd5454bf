"""Sending renewal commands: the last look at the record before a message leaves, and what IoT Hub's answer means."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from shared.clock import Clock
from shared.contracts import RenewCertificate
from shared.domain import reasons
from shared.domain.applying import command_refused, command_sent, command_throttled
from shared.domain.changes import Policies, Reduction
from shared.domain.events import IdentityDeleted
from shared.domain.record import Certificate, Command, DeviceRecord
from shared.domain.reducing import reduce
from shared.errors import CommandRefused, Throttled
from shared.logs import about
from shared.services.ports import CommandSender, Hub
from shared.services.store import FleetStore

_log = logging.getLogger(__name__)


class Commands:
    """Sends what the queue `renewal-commands` holds."""

    def __init__(self, store: FleetStore, sender: CommandSender, hub: Hub, policies: Policies, clock: Clock) -> None:
        self._store = store
        self._sender = sender
        self._hub = hub
        self._policies = policies
        self._clock = clock

    async def send(self, message: Mapping[str, Any]) -> None:
        """Sends the command `{deviceId, commandId}` unless the record has moved on.

        IoT Hub's refusals and throttles end in the record, and the message is done with: whoever waits, waits in the
        table. Raises: InfrastructureFault, KeyError for a message that is none of ours.
        """
        device_id, command_id = str(message["deviceId"]), str(message["commandId"])
        stored = await self._store.load(device_id)
        now = self._clock.now()
        if stored is None or (wanted := _wanted(stored.record, command_id, now)) is None:
            return  # the record has moved on
        outcome = await self._attempt(stored.record, *wanted)
        await self._store.update(
            [device_id],
            lambda _, record: outcome(record) if record and _wanted(record, command_id, now) else None,
        )

    async def _attempt(
        self, record: DeviceRecord, command: Command, certificate: Certificate
    ) -> Callable[[DeviceRecord], Reduction | None]:
        """Sends once; what has to be done to the record then."""
        now = self._clock.now()
        message = RenewCertificate(
            command_id=command.id,
            device_id=record.device_id,
            reason=command.reason,
            thumbprint=certificate.thumbprint,
            valid_until=certificate.valid_until,
            renew_by=self._policies.renewal.escalates_at(certificate),
        )
        try:
            await self._sender.send(message, command.expires_at)
        except Throttled as throttled:
            again_at = now + throttled.retry_after
            return lambda current: command_throttled(current, again_at, now)
        except CommandRefused as refused:
            return await self._refused(record.device_id, refused, now)
        return lambda current: command_sent(current, now)

    async def _refused(
        self, device_id: str, refused: CommandRefused, now: datetime
    ) -> Callable[[DeviceRecord], Reduction | None]:
        """404001 means unknown or disabled: the registry says which."""
        _log.warning("command for %s refused: %s", device_id, refused, extra=about(device_id=device_id))
        if refused.condition == "queue-full":
            return lambda current: command_refused(current, reasons.DEVICE_QUEUE_FULL, now)
        if await self._hub.get_identity(device_id) is not None:
            return lambda current: command_refused(current, reasons.DEVICE_UNREACHABLE, now)
        return lambda current: reduce(
            current,
            IdentityDeleted(
                event_id=f"send/{device_id}/{now.isoformat()}",
                enqueued_at=now,
                device_id=device_id,
                hub=current.hub,
                at=now,
            ),
            self._policies,
        )


def _wanted(record: DeviceRecord, command_id: str, now: datetime) -> tuple[Command, Certificate] | None:
    """The command, where it is still the one that this record waits to be sent."""
    command, certificate = record.command, record.certificate
    if command is None or certificate is None or command.id != command_id:
        return None
    if record.containment is not None or command.sent_at is not None or command.expires_at <= now:
        return None
    return command, certificate
