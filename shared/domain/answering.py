"""What IoT Hub's feedback says of our commands, and what that does to a record. Pure, and idempotent.

Reasons: `CommandDelivered` where the device took it (its new certificate is waited for until patience ends), else
`CommandExpired`, `CommandUndeliverable`, `CommandRejected` or `CommandPurged` (the next attempt comes by backoff).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from shared.domain import reasons
from shared.domain.changes import Reduction
from shared.domain.history import HistoryEntry
from shared.domain.members import an_object, instant, text
from shared.domain.record import Command, DeviceRecord, State
from shared.errors import BadEvent


class Delivery(StrEnum):
    """What became of a message: feedback's `statusCode` (Azure docs: IoT Hub devguide, messages-c2d)."""

    SUCCESS = "Success"
    EXPIRED = "Expired"
    DELIVERY_COUNT_EXCEEDED = "DeliveryCountExceeded"
    REJECTED = "Rejected"
    PURGED = "Purged"


_VERSION: Final = 5
"""Command ids are name-based UUIDs: `deciding.command_id`."""
_REASONS: Final[Mapping[Delivery, str]] = {
    Delivery.SUCCESS: reasons.COMMAND_DELIVERED,
    Delivery.EXPIRED: reasons.COMMAND_EXPIRED,
    Delivery.DELIVERY_COUNT_EXCEEDED: reasons.COMMAND_UNDELIVERABLE,
    Delivery.REJECTED: reasons.COMMAND_REJECTED,
    Delivery.PURGED: reasons.COMMAND_PURGED,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One record of feedback. at: when the hub settled the message."""

    message_id: str
    device_id: str
    status: Delivery
    at: datetime


def read_answers(body: bytes) -> Sequence[Answer | None]:
    """The records of one feedback message, whoever sent the commands; None stands for one that cannot be read."""
    try:
        records = json.loads(body)
    except (ValueError, RecursionError):
        return [None]
    return [_answer(record) for record in records] if isinstance(records, list) else [None]


def may_be_ours(answer: Answer) -> bool:
    """Whether the message's id has the form of our commands' ids. Most of what others send need not be looked up."""
    try:
        parsed = uuid.UUID(answer.message_id)
    except ValueError:
        return False
    return parsed.version == _VERSION and str(parsed) == answer.message_id


def command_answered(record: DeviceRecord, command_id: str, status: Delivery, at: datetime) -> Reduction | None:
    """The record after the answer, or None where it says nothing new.

    at: when the hub settled the message. An answer to a command that the record has left behind comes too late. The
    first answer counts: a message that was sent twice under its id is answered twice; but one copy that was taken
    outweighs another that was not.
    """
    command = record.command
    if command is None or command.id != command_id:
        return None
    if record.reason in _REASONS.values() and not _outweighs(status, record.reason):
        return None
    answered = _delivered(command, at) if status is Delivery.SUCCESS else _failed(command, at)
    changed = replace(
        record,
        command=answered,
        state=State.OVERDUE if record.state is State.OVERDUE else State.COMMANDED,
        reason=_REASONS[status],
        next_deadline=_earliest(record.next_deadline, answered.patience_until),
        updated_at=max(record.updated_at, at),
    )
    return Reduction(changed, (_entry(command, status, at),))


def _answer(record: object) -> Answer | None:
    try:
        members = an_object(record, "record")
        status = Delivery(text(members, "statusCode"))
        at = instant(members, "enqueuedTimeUtc")
        return Answer(text(members, "originalMessageId"), text(members, "deviceId"), status, at)
    except (BadEvent, ValueError):
        return None


def _outweighs(status: Delivery, reason: str) -> bool:
    return status is Delivery.SUCCESS and reason != reasons.COMMAND_DELIVERED


def _delivered(command: Command, at: datetime) -> Command:
    """Where the sender died before it could note the sending, the answer proves it: no second copy leaves."""
    return replace(command, sent_at=command.sent_at or at)


def _failed(command: Command, at: datetime) -> Command:
    """The pause that was to follow the message's own end follows its early end; it never ends later than silence."""
    pause = max(command.patience_until - command.expires_at, timedelta())
    return replace(command, sent_at=command.sent_at or at, patience_until=min(command.patience_until, at + pause))


def _earliest(deadline: datetime | None, patience_until: datetime) -> datetime:
    return min(deadline, patience_until) if deadline else patience_until


def _entry(command: Command, status: Delivery, at: datetime) -> HistoryEntry:
    return HistoryEntry(
        event_id=command.id,
        at=at,
        kind=reasons.HISTORY_COMMAND_ANSWERED,
        reason=_REASONS[status],
        details={"attempt": str(command.attempt), "status": status.value},
    )
