"""Batches of events, and nothing lost on the way.

A bad event becomes a dead letter and the batch goes on. A known infrastructure fault is raised, so that the trigger's
retry policy holds the batch. A fault that nobody foresaw is raised a few times too; then the batch is taken event by
event, and the culprits become dead letters, so that a bug cannot block a partition for ever.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from shared.domain.envelope import Envelope
from shared.errors import InfrastructureFault
from shared.logs import about
from shared.services.ports import DeadLetters

_log = logging.getLogger(__name__)

TRIES_AS_A_BATCH: Final = 5

type Rejected = dict[str, tuple[Envelope, str]]
"""Events that nobody can read, by their ids, with the reason."""
type Taker = Callable[[Sequence[Envelope], Rejected], Awaitable[None]]
"""Takes a batch whole, and adds to the rejected what it cannot read."""


class EventBatches:
    """Hands batches to whoever takes them, and keeps what was rejected."""

    def __init__(self, dead_letters: DeadLetters) -> None:
        self._dead_letters = dead_letters
        self._failures: dict[str, int] = defaultdict(int)  # only of this instance: nothing depends on it being kept

    async def take(self, envelopes: Sequence[Envelope], taker: Taker) -> None:
        """One batch of one partition. Raises: InfrastructureFault, and what the taker does the first few times."""
        if not envelopes:
            return
        batch = envelopes[0].event_id
        try:
            await self._take_batch(envelopes, taker)
        except InfrastructureFault:
            raise
        except Exception:  # a bug: retried like a fault, but not for ever
            self._failures[batch] += 1
            if self._failures[batch] < TRIES_AS_A_BATCH:
                raise
            _log.exception("batch at %s failed %d times: taking it event by event", batch, TRIES_AS_A_BATCH)
            await self._take_one_by_one(envelopes, taker)
        self._failures.pop(batch, None)

    async def _take_batch(self, envelopes: Sequence[Envelope], taker: Taker) -> None:
        rejected: Rejected = {}
        await taker(envelopes, rejected)
        await self.keep(rejected)

    async def keep(self, rejected: Rejected) -> None:
        """Stores what was rejected so far. Takers do so before they write what would make a bad event old news."""
        while rejected:
            event_id, (envelope, reason) = next(iter(rejected.items()))
            fields = about(event_id=event_id, reason=reason)
            _log.warning("dead letter %s: %s", event_id, reason, extra=fields)
            await self._dead_letters.keep(envelope, reason)
            del rejected[event_id]

    async def _take_one_by_one(self, envelopes: Sequence[Envelope], taker: Taker) -> None:
        for envelope in envelopes:
            try:
                await self._take_batch([envelope], taker)
            except InfrastructureFault:
                raise
            except Exception as bug:  # whatever it is, the others of the batch go on
                fields = about(event_id=envelope.event_id)
                _log.exception("event %s cannot be taken", envelope.event_id, extra=fields)
                await self._dead_letters.keep(envelope, f"unexpected {type(bug).__name__}")
