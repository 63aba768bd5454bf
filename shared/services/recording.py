"""Recording: from a batch of events to records. `services/batches.py` sees to it that nothing is lost on the way."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from shared.clock import Clock
from shared.domain.changes import Policies, Reduction
from shared.domain.envelope import Envelope
from shared.domain.events import DomainEvent, RegistrationFailed, TwinUnclear
from shared.domain.history import HistoryEntry
from shared.domain.parsing import parse_dps_event, parse_hub_event, read_twin
from shared.domain.record import DISPATCH_PATIENCE, DeviceRecord
from shared.domain.reducing import reduce
from shared.errors import BadEvent
from shared.services.batches import EventBatches, Rejected
from shared.services.issuers import verifying
from shared.services.outbox import Outbox
from shared.services.ports import DeadLetters, Hub, TrustedIssuersNow
from shared.services.store import FleetStore
from shared.services.strangers import Strangers

type Parser = Callable[[Envelope], Sequence[DomainEvent]]
type Heard = tuple[Envelope, DomainEvent]


class Recording:
    """Records what the event hubs tell. issuers: None where certificates are not verified."""

    def __init__(
        self,
        store: FleetStore,
        outbox: Outbox,
        dead_letters: DeadLetters,
        hub: Hub,
        policies: Policies,
        clock: Clock,
        strangers: Strangers | None = None,
        issuers: TrustedIssuersNow | None = None,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._batches = EventBatches(dead_letters)
        self._hub = hub
        self._policies = policies
        self._clock = clock
        self._strangers = strangers
        self._issuers = issuers

    async def record_hub_events(self, envelopes: Sequence[Envelope]) -> None:
        """Twin changes and the lifecycle of identities. Raises: InfrastructureFault."""
        await self._batches.take(envelopes, self._record_hub_events)

    async def record_dps_events(self, envelopes: Sequence[Envelope]) -> None:
        """The registration log of DPS. Raises: InfrastructureFault."""
        await self._batches.take(envelopes, self._record_dps_events)

    async def _record_hub_events(self, envelopes: Sequence[Envelope], rejected: Rejected) -> None:
        heard = [h for e in envelopes for h in _parsed(e, parse_hub_event, rejected)]
        clear = await asyncio.gather(*(self._resolved(h, rejected) for h in heard))
        await self._record([item for item in clear if item is not None], rejected)

    async def _record_dps_events(self, envelopes: Sequence[Envelope], rejected: Rejected) -> None:
        heard = [h for e in envelopes for h in _parsed(e, parse_dps_event, rejected)]
        renamed = await self._store.device_ids_of({event.device_id for _, event in heard})
        await self._record([(e, _renamed(event, renamed)) for e, event in heard], rejected)

    async def _record(self, heard: Sequence[Heard], rejected: Rejected) -> None:
        by_device: dict[str, list[Heard]] = defaultdict(list)
        for item in heard:
            by_device[item[1].device_id].append(item)
        policies = await verifying(self._policies, self._issuers) if by_device else self._policies
        unknown: dict[str, RegistrationFailed] = {}

        def reducer(device_id: str, record: DeviceRecord | None) -> Reduction | None:
            return self._reduced(by_device[device_id], record, policies, rejected, unknown)

        written = await self._store.update(by_device, reducer, ready=lambda: self._batches.keep(rejected))
        if unknown and self._strangers:
            await self._strangers.count(list(unknown.values()))
        await self._outbox.dispatch(written)

    async def _resolved(self, heard: Heard, rejected: Rejected) -> Heard | None:
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
        self,
        heard: Sequence[Heard],
        record: DeviceRecord | None,
        policies: Policies,
        rejected: Rejected,
        unknown: dict[str, RegistrationFailed],
    ) -> Reduction | None:
        """All of a device's events in their order, as one change."""
        history: list[HistoryEntry] = []
        current = record
        for envelope, event in heard:
            if current is None and isinstance(event, RegistrationFailed):
                unknown[event.event_id] = event
            try:
                reduction = reduce(current, event, policies)
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


def _parsed(envelope: Envelope, parse: Parser, rejected: Rejected) -> Sequence[Heard]:
    try:
        return [(envelope, event) for event in parse(envelope)]
    except BadEvent as bad:
        rejected[envelope.event_id] = (envelope, bad.reason)
        return []


def _renamed(event: DomainEvent, names: Mapping[str, str]) -> DomainEvent:
    """The event under the device's id, where its registration id is another."""
    return replace(event, device_id=names.get(event.device_id, event.device_id))
