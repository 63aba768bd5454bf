"""Events as IoT Hub routes them, in any number: of devices that report certificates, and of those that report else."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fleetcert.local.functions_host.event_hub_events import ReceivedEvent
from fleetcert.local.instants import precise
from shared.contracts import format_instant
from shared.domain.envelope import Envelope

MORNING: Final = datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC)
EVENT_HUB: Final = "iot-events"
HUB: Final = "hub-1"


def certificate_body(
    number: int,
    at: datetime,
    version: int = 2,
    lifetime: timedelta = timedelta(days=30),
    updated_at: datetime | None = None,
) -> bytes:
    """A twin change that reports a whole certificate, valid from `at`, without its PEM."""
    certificate = {
        "validFrom": format_instant(at),
        "validUntil": format_instant(at + lifetime),
        "thumbprint": f"{number:064x}",
        "serialNumber": f"{number:040x}",
        "issuer": "CN=local-adr-default-0c9a6d5e",
        "pem": None,
    }
    return _twin_change({"certificate": certificate}, updated_at or at, version)


def noise_body(number: int, at: datetime) -> bytes:
    """A twin change such as most are: it has nothing to do with certificates."""
    reported = {
        "firmware": {"current": "1.4.2", "pending": None, "lastCheck": format_instant(at)},
        "network": {"rssi": -40 - number % 50, "ssid": "plant-7", "ip": f"10.0.{number // 250 % 250}.{number % 250}"},
        "temperature": 20 + number % 10,
    }
    return _twin_change(reported, at)


def properties(device_id: str, at: datetime) -> dict[str, Any]:
    """The application properties of a twin change."""
    return {
        "deviceId": device_id,
        "hubName": HUB,
        "opType": "updateTwin",
        "iothub-message-schema": "twinChangeNotification",
        "operationTimestamp": precise(at),
    }


def message_annotations(device_id: str) -> dict[str, Any]:
    """The annotations by which IoT Hub says what an event is."""
    return {
        "iothub-connection-device-id": device_id,
        "iothub-message-source": "twinChangeEvents",
        "iothub-enqueuedtime": "2026-11-23T08:00:00.000000Z",
    }


def amqp_members(members: dict[str, Any]) -> dict[str | bytes, Any]:
    """Properties or annotations as the AMQP SDK types them."""
    return {str(name): value for name, value in members.items()}


def envelope(device_id: str, sequence: int, at: datetime = MORNING, version: int = 2) -> Envelope:
    """A certificate's report as the services see it."""
    return Envelope(
        hub=EVENT_HUB,
        partition="0",
        sequence_number=sequence,
        enqueued_at=at,
        body=certificate_body(sequence, at, version),
        properties=properties(device_id, at),
        system=message_annotations(device_id),
    )


def received(body: bytes, device_id: str, sequence: int, at: datetime = MORNING) -> ReceivedEvent:
    """An event as a functions host receives it."""
    return ReceivedEvent(
        body=body,
        sequence_number=sequence,
        offset=str(sequence * 512),
        enqueued_at=at,
        partition_key=device_id,
        properties=properties(device_id, at),
        system=message_annotations(device_id),
    )


def _twin_change(reported: dict[str, Any], at: datetime, version: int = 2) -> bytes:
    members = {**reported, "$version": version, "$metadata": {"$lastUpdated": precise(at)}}
    return json.dumps({"version": version + 1, "properties": {"reported": members}}).encode()
