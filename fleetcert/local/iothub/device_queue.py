"""A device's queue of cloud-to-device messages (Azure docs: Send cloud-to-device messages from an IoT hub)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from fleetcert.local.iothub.errors import invalid_expiry, message_too_large, queue_full
from fleetcert.local.ports import CloudToDeviceMessage

MAX_PENDING: Final = 50
MAX_DELIVERIES: Final = 10
MAX_MESSAGE_BYTES: Final = 64 * 1024
DEFAULT_TTL: Final = timedelta(hours=1)
MAX_TTL: Final = timedelta(days=2)
CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""A sender's clock may run ahead (assumed)."""


class Outcome(StrEnum):
    """How a message left the queue; the values are feedback's status codes."""

    SUCCESS = "Success"
    EXPIRED = "Expired"
    DELIVERY_COUNT_EXCEEDED = "DeliveryCountExceeded"
    REJECTED = "Rejected"
    PURGED = "Purged"


@dataclass(slots=True, eq=False)
class QueuedMessage:
    """A message in the queue. `locked`: it is with the device, which has not acknowledged it."""

    message_id: str
    body: bytes
    system: Mapping[str, Any]
    properties: Mapping[str, Any]
    expires_at: datetime
    deliveries: int = 0
    locked: bool = False

    @classmethod
    def of(cls, message: CloudToDeviceMessage, now: datetime) -> QueuedMessage:
        """The message as it is queued; IoT Hub gives ids and expiries to those that have none.

        Raises: HubError 413001 above 64 KB, 403009 where the message would live longer than two days.
        """
        if len(message.body) > MAX_MESSAGE_BYTES:
            raise message_too_large(MAX_MESSAGE_BYTES)
        expires_at = message.system.get("absolute_expiry_time") or now + DEFAULT_TTL
        if expires_at > now + MAX_TTL + CLOCK_TOLERANCE:
            raise invalid_expiry(f"A message may live for {MAX_TTL} at most.")
        return cls(
            message_id=str(message.system.get("message_id") or uuid.uuid4()),
            body=message.body,
            system=message.system,
            properties=message.properties,
            expires_at=expires_at,
        )

    @property
    def acknowledgement(self) -> str:
        """What the sender wants to hear: none, positive, negative or full."""
        return str(self.properties.get("iothub-ack", "none")).lower()


@dataclass(frozen=True, slots=True)
class Settled:
    """A message that has left the queue."""

    message: QueuedMessage
    outcome: Outcome

    @property
    def wants_feedback(self) -> bool:
        """Whether the sender asked to hear of such an outcome."""
        asked_for = ("positive", "full") if self.outcome is Outcome.SUCCESS else ("negative", "full")
        return self.message.acknowledgement in asked_for


@dataclass(slots=True)
class DeviceQueue:
    """Pending messages, oldest first. Locked messages count as pending."""

    device_id: str
    messages: list[QueuedMessage] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.messages)

    def enqueue(self, message: QueuedMessage) -> None:
        """Raises: HubError 403004 where 50 are pending."""
        if len(self.messages) >= MAX_PENDING:
            raise queue_full(self.device_id)
        self.messages.append(message)

    def lock_next(self) -> QueuedMessage | None:
        """The oldest message that is not locked, locked and counted as one more delivery."""
        message = next((m for m in self.messages if not m.locked), None)
        if message is not None:
            message.locked = True
            message.deliveries += 1
        return message

    def complete(self, message: QueuedMessage) -> Settled | None:
        """The device acknowledged; None where the message is not pending any more."""
        return Settled(message, Outcome.SUCCESS) if self._remove([message]) else None

    def release(self) -> list[Settled]:
        """Unlocks what the device has not acknowledged; settles what has been delivered often enough."""
        for message in self.messages:
            message.locked = False
        spent = [m for m in self.messages if m.deliveries >= MAX_DELIVERIES]
        return self._settle(spent, Outcome.DELIVERY_COUNT_EXCEEDED)

    def expire(self, now: datetime) -> list[Settled]:
        """Settles the messages whose time is over; one that the device holds is let be until it is unlocked."""
        return self._settle([m for m in self.messages if not m.locked and m.expires_at <= now], Outcome.EXPIRED)

    def purge(self) -> list[Settled]:
        """Empties the queue."""
        return self._settle(list(self.messages), Outcome.PURGED)

    def _settle(self, messages: Iterable[QueuedMessage], outcome: Outcome) -> list[Settled]:
        return [Settled(message, outcome) for message in self._remove(messages)]

    def _remove(self, messages: Iterable[QueuedMessage]) -> list[QueuedMessage]:
        removed = [message for message in messages if message in self.messages]
        for message in removed:
            self.messages.remove(message)
        return removed
