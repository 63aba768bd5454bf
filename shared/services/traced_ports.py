"""Ports that are traced, in the words of OpenTelemetry's semantic conventions: databases and messaging.

What IoT Hub, DPS and Azure Resource Manager are asked is traced where the requests are made, as HTTP.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from shared import telemetry, tracing
from shared.calling import Call, calling, streaming
from shared.contracts import RenewCertificate
from shared.domain.alerts import Alert
from shared.services.ports import Alerts, CommandSender, Row, Table, WorkQueue, Write
from shared.tracing import Value

CARRIER: Final = "traceparent"
"""The member of a queue's message that carries the context of whoever put it there."""
_DEVICEBOUND: Final = "messages/devicebound"
_IDS: Final = {"deviceId": "fleetcert.device.id", "commandId": "fleetcert.command.id"}


class TracedTable:
    """The fleet table. name: of the table; server: the host that holds it."""

    def __init__(self, table: Table, name: str, server: str) -> None:
        self._table = table
        self._name = name
        self._server = server

    async def get(self, partition: str, key: str) -> Row | None:
        """See `Table`."""
        with calling(self._call("get", partition)):
            return await self._table.get(partition, key)

    async def get_many(self, partition: str, keys: Sequence[str]) -> dict[str, Row]:
        """See `Table`."""
        with calling(self._call("get", partition, len(keys))):
            return await self._table.get_many(partition, keys)

    def scan(self, partition: str, low: str, high: str, limit: int | None = None) -> AsyncIterator[Row]:
        """See `Table`."""
        return streaming(self._call("query", partition), self._table.scan(partition, low, high, limit))

    async def commit(self, partition: str, writes: Sequence[Write]) -> Mapping[str, str]:
        """See `Table`."""
        with calling(self._call("transaction", partition, len(writes))):
            return await self._table.commit(partition, writes)

    def _call(self, operation: str, partition: str, size: int = 0) -> Call:
        attributes: dict[str, Value] = {
            "db.system.name": "azure.tables",
            "db.collection.name": self._name,
            "db.operation.name": operation,
            "server.address": self._server,
            "fleetcert.partition": partition,
        }
        if size > 1:  # the conventions give single operations no size
            attributes |= {"db.operation.batch.size": size, "fleetcert.rows": size}
        return Call(f"{operation} {self._name}", telemetry.TABLE_DURATION, attributes)


class TracedQueue:
    """A storage queue; each message carries the context in which it was put there."""

    def __init__(self, queue: WorkQueue, name: str, server: str) -> None:
        self._queue = queue
        self._attributes = {**_sending("azure.queues", name), "server.address": server}

    async def put(self, message: Mapping[str, Any], delay: timedelta = timedelta()) -> None:
        """See `WorkQueue`. What is put for a command belongs to the command's trace."""
        about = {ours: str(message[name]) for name, ours in _IDS.items() if name in message}
        parent = tracing.of_command(str(message["commandId"])) if "commandId" in message else None
        attributes = {**self._attributes, **about}
        with calling(Call(_name(attributes), telemetry.MESSAGING_DURATION, attributes, "producer", parent)):
            context = tracing.current()
            await self._queue.put({**message, CARRIER: context} if context else message, delay)


class TracedAlerts:
    """The Event Grid topic. topic: its host."""

    def __init__(self, alerts: Alerts, topic: str) -> None:
        self._alerts = alerts
        self._attributes = {**_sending("eventgrid", topic), "server.address": topic}

    async def publish(self, alerts: Sequence[Alert]) -> None:
        """See `Alerts`."""
        attributes: dict[str, Value] = {**self._attributes, "fleetcert.alerts": len(alerts)}
        if len(alerts) > 1:
            attributes["messaging.batch.message_count"] = len(alerts)
        with calling(Call(_name(self._attributes), telemetry.MESSAGING_DURATION, attributes)):
            await self._alerts.publish(alerts)


class TracedSender:
    """IoT Hub's cloud-to-device node. The message carries no context: the command's id is enough to find its trace."""

    def __init__(self, sender: CommandSender, hub: str) -> None:
        self._sender = sender
        self._attributes = {**_sending("azure.iothub", _DEVICEBOUND), "server.address": hub}

    async def send(self, command: RenewCertificate, expires: datetime) -> None:
        """See `CommandSender`."""
        attributes: dict[str, Value] = {
            **self._attributes,
            "messaging.message.id": command.command_id,
            "fleetcert.command.id": command.command_id,
            "fleetcert.device.id": command.device_id,
            "fleetcert.reason": command.reason,
        }
        parent = tracing.of_command(command.command_id)
        with calling(Call(_name(self._attributes), telemetry.MESSAGING_DURATION, attributes, parent=parent)):
            await self._sender.send(command, expires)


def _sending(system: str, destination: str) -> dict[str, Value]:
    return {
        "messaging.system": system,
        "messaging.destination.name": destination,
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
    }


def _name(attributes: Mapping[str, Value]) -> str:
    return f"{attributes['messaging.operation.name']} {attributes['messaging.destination.name']}"
