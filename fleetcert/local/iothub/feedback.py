"""The hub's one queue of delivery feedback (Azure docs: Send cloud-to-device messages from an IoT hub)."""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from fleetcert.local.instants import precise
from fleetcert.local.iothub.device_queue import Settled
from fleetcert.local.iothub.errors import lock_lost

CONTENT_TYPE: Final = "application/vnd.microsoft.iothub.feedback.json"
MAX_BATCH: Final = 64
LOCK: Final = timedelta(seconds=60)
TTL: Final = timedelta(hours=1)
MAX_DELIVERIES: Final = 10

type FeedbackRecord = dict[str, str]


def feedback_record(settled: Settled, device_id: str, generation_id: str, now: datetime) -> FeedbackRecord:
    """What became of a message, as IoT Hub reports it."""
    return {
        "originalMessageId": settled.message.message_id,
        "enqueuedTimeUtc": precise(now),
        "statusCode": settled.outcome.value,
        "description": settled.outcome.value,
        "deviceId": device_id,
        "deviceGenerationId": generation_id,
    }


@dataclass(slots=True)
class FeedbackBatch:
    """Records that are received together. `lock_token` is new at each delivery, None while nobody holds the batch."""

    records: list[FeedbackRecord]
    enqueued_at: datetime
    batch_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    lock_token: str | None = None
    locked_until: datetime | None = None
    deliveries: int = 0


class FeedbackQueue:
    """Feedback batches, oldest first. IoT Hub waits up to 15 s to fill a batch; here a batch is what is there."""

    def __init__(self) -> None:
        self._batches: deque[FeedbackBatch] = deque()

    def add(self, record: FeedbackRecord, now: datetime) -> None:
        """Adds the record to the last batch that has room and has never been handed out."""
        last = self._batches[-1] if self._batches else None
        if last is None or last.deliveries or len(last.records) >= MAX_BATCH:
            self._batches.append(last := FeedbackBatch([], now))
        last.records.append(record)

    def receive(self, now: datetime) -> FeedbackBatch | None:
        """Locks the oldest batch that nobody holds for 60 s, or None."""
        self._drop_spent(now)
        batch = next((b for b in self._batches if not _is_locked(b, now)), None)
        if batch is not None:
            batch.lock_token = str(uuid.uuid4())
            batch.locked_until = now + LOCK
            batch.deliveries += 1
        return batch

    def complete(self, lock_token: str, now: datetime) -> None:
        """Removes the batch. Raises: HubError 412002."""
        self._batches.remove(self._held(lock_token, now))

    def abandon(self, lock_token: str, now: datetime) -> None:
        """Gives the batch back. Raises: HubError 412002."""
        batch = self._held(lock_token, now)
        batch.lock_token = batch.locked_until = None

    def _held(self, lock_token: str, now: datetime) -> FeedbackBatch:
        for batch in self._batches:
            if batch.lock_token == lock_token and _is_locked(batch, now):
                return batch
        raise lock_lost()

    def _drop_spent(self, now: datetime) -> None:
        for batch in [b for b in self._batches if not _is_locked(b, now)]:
            if batch.deliveries >= MAX_DELIVERIES or batch.enqueued_at + TTL <= now:
                self._batches.remove(batch)


def _is_locked(batch: FeedbackBatch, now: datetime) -> bool:
    return batch.locked_until is not None and now < batch.locked_until
