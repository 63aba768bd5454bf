"""Recording: from a batch of events to records, and nothing lost on the way.

A bad event becomes a dead letter and the batch goes on. A known infrastructure fault is raised, so that the trigger's
retry policy holds the batch. A fault that nobody foresaw is raised a few times too; then the batch is taken event by
event, and the culprits become dead letters, so that a bug cannot block a partition for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from shared.clock import Clock
from shared.domain.changes import Policies, Reduction
from shared.domain.envelope import Envelope
from shared.domain.events import DomainEvent, TwinUnclear
from shared.domain.history import HistoryEntry
from shared.domain.parsing import parse_dps_event, parse_hub_event, read_twin
from shared.domain.record import DISPATCH_PATIENCE, DeviceRecord
from shared.domain.reducing import reduce
from shared.errors import BadEvent, InfrastructureFault
from shared.services.outbox import Outbox
from shared.services.ports import DeadLetters, Hub
from shared.services.store import FleetStore

_log = logging.getLogger(__name__)

TRIES_AS_A_BATCH: Final = 5

type Parser = Callable[[Envelope], Sequence[DomainEvent]]
type Heard = tuple[Envelope, DomainEvent]


class Recording:
    """Records what the event hubs tell."""

    def __init__(
        self,
        store: FleetStore,
        outbox: Outbox,
        dead_letters: DeadLetters,
        hub: Hub,
        policies: Policies,
        clock: Clock,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._dead_letters = dead_letters
        self._hub = hub
        self._policies = policies
        self._clock = clock
        self._failures: dict[str, int] = defaultdict(int)  # only of this instance: nothing depends on it being kept

    async def record_hub_events(self, envelopes: Sequence[Envelope]) -> None:
        """Twin changes and the lifecycle of identities. Raises: InfrastructureFault."""
        await self._record(envelopes, parse_hub_event)

    async def record_dps_events(self, envelopes: Sequence[Envelope]) -> None:
        """The registration log of DPS. Raises: InfrastructureFault."""
        await self._record(envelopes, parse_dps_event)

    async def _record(self, envelopes: Sequence[Envelope], parse: Parser) -> None:
        if not envelopes:
            return
        batch = envelopes[0].event_id
        try:
            await self._record_batch(envelopes, parse)
        except InfrastructureFault:
            raise
        except Exception:  # a bug: retried like a fault, but not for ever
            self._failures[batch] += 1
            if self._failures[batch] < TRIES_AS_A_BATCH:
                raise
            _log.exception("batch at %s failed %d times: taking it event by event", batch, TRIES_AS_A_BATCH)
            await self._record_one_by_one(envelopes, parse)
        self._failures.pop(batch, None)

    async def _record_one_by_one(self, envelopes: Sequence[Envelope], parse: Parser) -> None:
        for envelope in envelopes:
            try:
                await self._record_batch([envelope], parse)
            except InfrastructureFault:
                raise
            except Exception as bug:
                _log.exception("event %s cannot be recorded", envelope.event_id)
                await self._dead_letters.keep(envelope, f"unexpected {type(bug).__name__}")

    async def _record_batch(self, envelopes: Sequence[Envelope], parse: Parser) -> None:
        rejected: dict[str, tuple[Envelope, str]] = {}
        heard = [h for e in envelopes for h in _parsed(e, parse, rejected)]
        clear = await asyncio.gather(*(self._resolved(h, rejected) for h in heard))
        by_device: dict[str, list[Heard]] = defaultdict(list)
        for item in clear:
            if item is not None:
                by_device[item[1].device_id].append(item)
        written = await self._store.update(by_device, lambda d, r: self._reduced(by_device[d], r, rejected))
        for envelope, reason in rejected.values():
            _log.warning("dead letter %s: %s", envelope.event_id, reason)
            await self._dead_letters.keep(envelope, reason)
        await self._outbox.dispatch(written)

    async def _resolved(self, heard: Heard, rejected: dict[str, tuple[Envelope, str]]) -> Heard | None:
        """The event, with a patch that is unclear alone replaced by the twin as it stands now."""
        envelope, event = heard
        if not isinstance(event, TwinUnclear):
            return heard
        twin = await self._hub.get_twin(event.device_id)
        if twin is None:
            return None  # the device is gone, and its deletion will tell
        try:
            whole = read_twin(
                twin,
                device_id=event.device_id,
                hub=event.hub,
                event_id=event.event_id,
                at=event.enqueued_at,
            )
        except BadEvent as bad:
            rejected[envelope.event_id] = (envelope, bad.reason)
            return None
        return envelope, whole

    def _reduced(
        self, heard: Sequence[Heard], record: DeviceRecord | None, rejected: dict[str, tuple[Envelope, str]]
    ) -> Reduction | None:
        """All of a device's events in their order, as one change."""
        history: list[HistoryEntry] = []
        current = record
        for envelope, event in heard:
            try:
                reduction = reduce(current, event, self._policies)
            except BadEvent as bad:
                rejected[envelope.event_id] = (envelope, bad.reason)
                continue
            if reduction is not None:
                current = reduction.record
                history.extend(reduction.history)
        if current is None or current is record:
            return None
        if current.pending:
            current = replace(current, dispatch_by=self._clock.now() + DISPATCH_PATIENCE)
        return Reduction(current, tuple(history))


def _parsed(envelope: Envelope, parse: Parser, rejected: dict[str, tuple[Envelope, str]]) -> Sequence[Heard]:
    try:
        return [(envelope, event) for event in parse(envelope)]
    except BadEvent as bad:
        rejected[envelope.event_id] = (envelope, bad.reason)
        return []
