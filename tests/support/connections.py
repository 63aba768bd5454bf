"""Connection events as IoT Hub routes them, for tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from support.events import hub_event
from support.fakes import NOON

from shared.domain.envelope import Envelope

SOURCE = "deviceConnectionStateEvents"


def sequence_number(order: int, filetime: int = 0x01D8713FF7E08514) -> str:
    """256 bits in hex, as IoT Hub gives them."""
    return f"{filetime:032X}{order:032X}"


def connection_event(
    operation: str = "deviceConnected",
    order: int = 1,
    *,
    device_id: str = "dev-1",
    at: datetime = NOON,
    body: object = None,
) -> Envelope:
    """`order` tells which event is later, and its place in the event hub."""
    content = {"sequenceNumber": sequence_number(order)} if body is None else body
    event = hub_event(content, SOURCE, operation, sequence=order, device_id=device_id, at=at)
    return replace(event, hub="connection-events")


def connected(order: int = 1, device_id: str = "dev-1", at: datetime = NOON) -> Envelope:
    return connection_event("deviceConnected", order, device_id=device_id, at=at)


def disconnected(order: int = 1, device_id: str = "dev-1", at: datetime = NOON) -> Envelope:
    return connection_event("deviceDisconnected", order, device_id=device_id, at=at)
