"""The hub's feedback queue for tests: batches of many back ends, lent, completed and given back."""

from __future__ import annotations

import itertools
import json
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from support.fakes import NOON

from shared.contracts import format_instant
from shared.errors import Conflict
from shared.services.feedback import FeedbackBatch

MAX_DELIVERIES = 10


def answer(
    message_id: str | None = None, status: str = "Success", *, device_id: str = "dev-1", at: datetime = NOON
) -> dict[str, Any]:
    """A record of feedback as IoT Hub writes it; without an id, on somebody else's message."""
    return {
        "originalMessageId": message_id or str(uuid.uuid4()),
        "enqueuedTimeUtc": format_instant(at),
        "statusCode": status,
        "description": status,
        "deviceId": device_id,
        "deviceGenerationId": "638",
    }


@dataclass
class FakeFeedback:
    """Batches in their order; after ten deliveries one is gone. `faults` are raised, one a call."""

    batches: list[bytes] = field(default_factory=list)
    lent: dict[str, bytes] = field(default_factory=dict)
    deliveries: dict[bytes, int] = field(default_factory=dict)
    completed: list[bytes] = field(default_factory=list)
    faults: list[Exception | None] = field(default_factory=list)
    _tokens: Any = field(default_factory=lambda: itertools.count(1))

    def put(self, *records: dict[str, Any]) -> None:
        """One batch."""
        self.batches.append(json.dumps(records).encode())

    def lapse(self) -> None:
        """Loans end after a minute: whoever held them is gone."""
        self.batches = [*self.lent.values(), *self.batches]
        self.lent.clear()

    async def receive(self) -> FeedbackBatch | None:
        self._fail()
        if not self.batches:
            return None
        body = self.batches.pop(0)
        self.deliveries[body] = self.deliveries.get(body, 0) + 1
        token = f"lock-{next(self._tokens)}"
        self.lent[token] = body
        return FeedbackBatch(token, body)

    async def complete(self, lock_token: str) -> None:
        self._fail()
        self.completed.append(self._returned(lock_token))

    async def abandon(self, lock_token: str) -> None:
        self._fail()
        body = self._returned(lock_token)
        if self.deliveries[body] < MAX_DELIVERIES:
            self.batches.insert(0, body)

    def _returned(self, lock_token: str) -> bytes:
        if lock_token not in self.lent:
            raise Conflict("412002")
        return self.lent.pop(lock_token)

    def _fail(self) -> None:
        if self.faults and (fault := self.faults.pop(0)) is not None:
            raise fault
