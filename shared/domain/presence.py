"""Connections as IoT Hub's routes tell of them: which state is the latest, and who must not be connected at all.

Shapes: Azure docs, iot-hub-non-telemetry-event-schema (`deviceConnectionStateEvents`). Events come late, twice, in the
wrong order or, within a minute of each other, not at all. Their sequence number, 256 bits in hex, tells which is later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from shared.contracts import AlertType, format_instant
from shared.domain.alerts import Alert, device_alert
from shared.domain.envelope import Envelope
from shared.domain.events import HeardEvent
from shared.domain.members import instant, json_object, text
from shared.errors import BadEvent

SOURCE: Final = "deviceConnectionStateEvents"
ONE_ALERT_IN: Final = timedelta(hours=1)
"""How often it is told that a device that was shut out is connected."""
_HEX: Final = re.compile(r"[0-9A-Fa-f]{1,64}")
_DIGITS: Final = 64
_STATES: Final[Mapping[str, bool]] = {"deviceConnected": True, "deviceDisconnected": False}

type Scope = Literal["off", "contained", "all"]
"""Whose connections are kept: nobody's, those of devices that are shut out, or everybody's."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A device's connection state. sequence: 64 digits of hex, compared as text. at: the hub's time of the change."""

    connected: bool
    sequence: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionChanged(HeardEvent):
    """A device connected or disconnected."""

    hub: str
    seen: Seen


@dataclass(frozen=True, slots=True)
class Contained:
    """A device that is being shut out, and since when it was seen gone, if it was. is_proven: of its block at DPS."""

    requested_at: datetime
    verified_at: datetime | None = None
    is_proven: bool = True


def parse_connection_event(envelope: Envelope) -> ConnectionChanged | None:
    """What an event of the route says, or None where it is not about a device's connection. Raises: BadEvent."""
    if envelope.system.get("iothub-message-source") != SOURCE or "moduleId" in envelope.properties:
        return None
    connected = _STATES.get(text(envelope.properties, "opType"))
    if connected is None:
        raise BadEvent("opType is no change of a connection")
    sequence = text(json_object(envelope.body), "sequenceNumber")
    if not _HEX.fullmatch(sequence):
        raise BadEvent("sequenceNumber is no hex of at most 64 digits")
    return ConnectionChanged(
        event_id=envelope.event_id,
        enqueued_at=envelope.enqueued_at,
        device_id=text(envelope.properties, "deviceId"),
        hub=text(envelope.properties, "hubName"),
        seen=Seen(connected, sequence.upper().zfill(_DIGITS), instant(envelope.properties, "operationTimestamp")),
    )


def latest(events: Iterable[ConnectionChanged]) -> dict[str, ConnectionChanged]:
    """The latest event of each device, by device id."""
    newest: dict[str, ConnectionChanged] = {}
    for event in events:
        known = newest.get(event.device_id)
        if known is None or known.seen.sequence < event.seen.sequence:
            newest[event.device_id] = event
    return newest


def reappeared(event: ConnectionChanged, contained: Contained, told_at: datetime | None) -> Alert | None:
    """The alert that a device is connected that was shut out and seen gone; None within an hour of the last one."""
    if not event.seen.connected or contained.verified_at is None or event.seen.at <= contained.verified_at:
        return None
    if told_at is not None and event.seen.at - told_at < ONE_ALERT_IN:
        return None
    data = {"reason": "the device is connected again", "connectedAt": format_instant(event.seen.at)}
    occasion = f"connected/{event.seen.sequence}"
    return device_alert(AlertType.DEVICE_CONTAINMENT_UNVERIFIED, event.device_id, occasion, event.seen.at, data)
