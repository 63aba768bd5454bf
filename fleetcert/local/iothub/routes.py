"""IoT Hub's routes: twin changes, device lifecycle and connection state, as messages for event hubs.

Shapes: Azure docs, IoT Hub non-telemetry event schemas.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from fleetcert.local.assumptions import Assumptions
from fleetcert.local.instants import precise
from fleetcert.local.iothub.device import Device
from fleetcert.local.ports import EventSink, RoutedEvent
from shared.clock import Clock

_FILETIME_EPOCH: Final = datetime(1601, 1, 1, tzinfo=UTC)
_LATE_LIFECYCLE_SECONDS: Final = 5.0
"""How long a lifecycle event that may come late waits for the twin change that overtakes it."""


@dataclass(frozen=True, slots=True)
class RoutedTo:
    """The event hubs that the routes lead to."""

    device_events: str = "iot-events"
    connection_events: str = "connection-events"


class Routes:
    """Publishes what happens to devices."""

    def __init__(
        self, hub_name: str, sink: EventSink, assumptions: Assumptions, clock: Clock, routed_to: RoutedTo
    ) -> None:
        self._hub_name = hub_name
        self._sink = sink
        self._assumptions = assumptions
        self._clock = clock
        self._routed_to = routed_to
        self._connection_changes = 0
        self._latest_filetime = 0
        self._held: dict[str, RoutedEvent] = {}

    def device_created(self, device: Device) -> None:
        """`createDeviceIdentity`; where events may overtake each other, after the device's first twin change."""
        event = self._lifecycle(device, "createDeviceIdentity")
        if self._assumptions.lifecycle_first:
            self._sink.publish(self._routed_to.device_events, event)
            return
        self._held[device.device_id] = event
        asyncio.get_running_loop().call_later(_LATE_LIFECYCLE_SECONDS, self._release, device.device_id)

    def device_deleted(self, device: Device) -> None:
        """`deleteDeviceIdentity`."""
        self._release(device.device_id)
        self._sink.publish(self._routed_to.device_events, self._lifecycle(device, "deleteDeviceIdentity"))

    def twin_updated(self, device_id: str, change: Mapping[str, Any]) -> None:
        """`updateTwin` with the body {"version", "tags"?, "properties"?}."""
        self._twin_changed(device_id, "updateTwin", change)

    def twin_replaced(self, device: Device) -> None:
        """`replaceTwin` with the whole twin."""
        whole = {
            "deviceId": device.device_id,
            "etag": device.twin.etag,
            "version": device.twin.version,
            "tags": device.twin.tags,
            "properties": device.twin_properties(),
        }
        self._twin_changed(device.device_id, "replaceTwin", whole)

    def connection_changed(self, device_id: str, *, connected: bool) -> None:
        """`deviceConnected` or `deviceDisconnected` with a sequence number that only grows."""
        event = self._event(
            device_id,
            "deviceConnectionStateEvents",
            "deviceConnectionStateNotification",
            "deviceConnected" if connected else "deviceDisconnected",
            {"sequenceNumber": self._sequence_number()},
        )
        self._sink.publish(self._routed_to.connection_events, event)

    def _twin_changed(self, device_id: str, operation: str, body: Mapping[str, Any]) -> None:
        event = self._event(device_id, "twinChangeEvents", "twinChangeNotification", operation, body)
        self._sink.publish(self._routed_to.device_events, event)
        self._release(device_id)

    def _lifecycle(self, device: Device, operation: str) -> RoutedEvent:
        body = {
            "deviceId": device.device_id,
            "etag": device.twin.etag,
            "version": device.twin.version,
            "properties": device.twin_properties(),
        }
        return self._event(device.device_id, "deviceLifecycleEvents", "deviceLifecycleNotification", operation, body)

    def _release(self, device_id: str) -> None:
        if (event := self._held.pop(device_id, None)) is not None:
            self._sink.publish(self._routed_to.device_events, event)

    def _event(self, device_id: str, source: str, schema: str, operation: str, body: Mapping[str, Any]) -> RoutedEvent:
        now = self._clock.now()
        return RoutedEvent(
            body=json.dumps(body, separators=(",", ":")).encode(),
            partition_key=device_id,
            properties={
                "deviceId": device_id,
                "hubName": self._hub_name,
                "iothub-message-schema": schema,
                "operationTimestamp": precise(now),
                "opType": operation,
            },
            annotations={
                "iothub-connection-device-id": device_id,
                "iothub-enqueuedtime": now,
                "iothub-message-source": source,
            },
            content_type="application/json",
            content_encoding="utf-8",
            correlation_id=str(uuid.uuid4()),
            user_id=self._hub_name,
        )

    def _sequence_number(self) -> str:
        """256 bits in hex that compare as strings: a FILETIME that never falls, and a counter."""
        elapsed = self._clock.now() - _FILETIME_EPOCH
        self._latest_filetime = max(self._latest_filetime, int(elapsed.total_seconds()) * 10_000_000)
        self._connection_changes += 1
        return f"{self._latest_filetime:032X}{self._connection_changes:032X}"
