"""Putting records right by what the hub and DPS say of their devices. Every repair may be repeated."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from shared.clock import Clock
from shared.domain import inventory
from shared.domain.changes import Policies, Reduction
from shared.domain.events import IdentityCreated, IdentityDeleted, TagsChanged, TwinReported
from shared.domain.history import HistoryEntry
from shared.domain.inventory import Registration, Source
from shared.domain.leaves import Leaf, learned
from shared.domain.parsing import read_tags, read_twin
from shared.domain.record import DeviceRecord, State
from shared.domain.reducing import reduce
from shared.errors import BadEvent
from shared.logs import about
from shared.services.issuers import verifying
from shared.services.outbox import Outbox
from shared.services.ports import Identity, Leaves, TrustedIssuersNow
from shared.services.rows import Stored
from shared.services.store import FleetStore, Reducer

_log = logging.getLogger(__name__)

CONCURRENT_LOOKS: Final = 16

type Twin = Mapping[str, Any]
type Tally = Counter[str]


class Registry(Protocol):
    """The hub's own word on one device, which no delay of its lists can have made old."""

    async def get_identity(self, device_id: str) -> Identity | None:
        """The identity, or None where the hub does not know the device."""

    async def get_twin(self, device_id: str) -> Twin | None:
        """The whole twin, or None."""


class Blocks(Protocol):
    """What DPS keeps of devices that are shut out."""

    async def is_blocked(self, registration_id: str) -> bool:
        """Whether a disabled individual enrollment stands for the registration id."""


class Repairs:
    """Repairs records. hub: the name of the hub that is read, as its events give it.

    issuers: None where certificates are not verified; leaves: None where no inventory is kept.
    """

    def __init__(
        self,
        store: FleetStore,
        outbox: Outbox,
        registry: Registry,
        blocks: Blocks,
        policies: Policies,
        clock: Clock,
        hub: str,
        issuers: TrustedIssuersNow | None = None,
        leaves: Leaves | None = None,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._registry = registry
        self._blocks = blocks
        self._policies = policies
        self._clock = clock
        self._hub = hub
        self._issuers = issuers
        self._leaves = leaves
        self._looks = asyncio.Semaphore(CONCURRENT_LOOKS)

    def is_ours(self, hub: str) -> bool:
        """Whether a record of this hub is the business of this registry. Names of hubs ignore case."""
        return hub.casefold() in ("", self._hub.casefold())

    async def by_twins(self, pass_id: str, twins: Sequence[Twin]) -> Tally:
        """Compares records with twins from a list, which may be minutes old (Azure docs: IoT Hub query language).

        What is ordered by versions is repaired at once; what is not is read again, one by one. Raises:
        InfrastructureFault.
        """
        source = Source(pass_id=pass_id, at=self._clock.now())
        policies = await verifying(self._policies, self._issuers)
        listed = {str(twin["deviceId"]): twin for twin in twins}
        doubtful: set[str] = set()
        unreadable: set[str] = set()

        def reducer(device_id: str, record: DeviceRecord | None) -> Reduction | None:
            if record is not None and self._is_doubtful(record, listed[device_id]):
                doubtful.add(device_id)
            reduction = self._compared(record, listed[device_id], source, policies, unreadable)
            current, leaf = reduction.record if reduction else record, leaves.get(device_id)
            if current is None or leaf is None:
                return reduction
            return _in_turn(reduction, learned(current, leaf, "inventory", source.at, policies.renewal))

        known = await self._store.load_many(listed)
        leaves = await self._leaves_of(listed, known)
        written = await self._written(listed, reducer, known)
        found = len(listed.keys() - known.keys())
        tally = Counter(
            listed=len(listed),
            found=found,
            repaired=len(written) - found,
            unchanged=len(listed) - len(written),
            unreadable=len(unreadable),
        )
        return tally + await self.by_looks(pass_id, doubtful)

    async def _leaves_of(self, device_ids: Iterable[str], known: Mapping[str, Stored]) -> dict[str, Leaf]:
        """The leaves that inventories have for devices whose records know of none, by device id."""
        if self._leaves is None:
            return {}
        names = {d: known[d].record.registration_id if d in known else d for d in device_ids}
        wanting = {d: name for d, name in names.items() if d not in known or known[d].record.inventoried is None}
        found = await self._leaves.of(wanting.values())
        return {d: found[name] for d, name in wanting.items() if name in found}

    async def by_looks(self, pass_id: str, device_ids: Iterable[str]) -> Tally:
        """Reads these devices one by one, and retires those that the hub does not know. Raises: InfrastructureFault."""
        source = Source(pass_id=pass_id, at=self._clock.now())
        policies = await verifying(self._policies, self._issuers)
        looks = (self._look(source, policies, device_id) for device_id in device_ids)
        tally: Tally = Counter()
        for looked in await asyncio.gather(*looks, return_exceptions=True):  # all end before one is raised
            if isinstance(looked, BaseException):
                raise looked
            tally += looked
        return tally

    async def by_registrations(self, pass_id: str, registrations: Sequence[Registration]) -> Tally:
        """Gives records what DPS knows of their registrations. Devices of other hubs are not ours to know.

        Raises: InfrastructureFault.
        """
        source = Source(pass_id=pass_id, at=self._clock.now())
        by_device = {r.device_id: r for r in registrations if self.is_ours(r.hub)}

        def reducer(device_id: str, record: DeviceRecord | None) -> Reduction | None:
            return inventory.enrolled(record, by_device[device_id], source) if record else None

        known = await self._store.load_many(by_device)
        changing = {d: s for d, s in known.items() if reducer(d, s.record)}
        for device_id in changing:
            if (registration_id := by_device[device_id].registration_id).casefold() != device_id.casefold():
                await self._store.remember_registration(registration_id, device_id)
        written = await self._written(changing, reducer, changing)
        return Counter(repaired=len(written), registrations=len(registrations))

    def _compared(
        self, record: DeviceRecord | None, twin: Twin, source: Source, policies: Policies, unreadable: set[str]
    ) -> Reduction | None:
        """The change that a twin makes to a record, of which only what is worth a write is left."""
        device_id = str(twin["deviceId"])
        try:
            reduction = self._reduced(record, device_id, twin, source, policies)
        except BadEvent as bad:
            fields = about(device_id=device_id, reason=bad.reason)
            _log.warning("the twin of %s cannot be read: %s", device_id, bad.reason, extra=fields)
            unreadable.add(device_id)
            return inventory.bare(device_id, self._hub, source) if record is None else None
        if record is not None:
            reduction = inventory.repair(record, reduction, source)
        elif reduction is not None:
            reduction = inventory.newcomer(reduction, source)
        return inventory.leaving(reduction, source.at) if reduction else None

    def _reduced(
        self, record: DeviceRecord | None, device_id: str, twin: Twin, source: Source, policies: Policies
    ) -> Reduction | None:
        """The twin's certificate and tags, as one change. Raises: BadEvent."""
        current, history = record, list[HistoryEntry]()
        for event in self._events(record, device_id, twin, source):
            if (reduction := reduce(current, event, policies)) is not None:
                current = reduction.record
                history.extend(reduction.history)
        return None if current is None or current is record else Reduction(current, tuple(history))

    def _events(
        self, record: DeviceRecord | None, device_id: str, twin: Twin, source: Source
    ) -> list[TwinReported | TagsChanged]:
        hub = record.hub if record and record.hub and self.is_ours(record.hub) else self._hub
        event_id = source.event_id(device_id)
        reported = read_twin(twin, device_id=device_id, hub=hub, event_id=event_id, at=source.at)
        tags = read_tags(twin, device_id=device_id, hub=hub, event_id=event_id, at=source.at)
        return [reported, tags]

    def _is_doubtful(self, record: DeviceRecord, twin: Twin) -> bool:
        """Whether the list contradicts the record in what no version orders: being there, and being enabled."""
        if not self.is_ours(record.hub):
            return False
        return record.state is State.RETIRED or (twin.get("status") == "enabled" and inventory.is_shut_out(record))

    async def _look(self, source: Source, policies: Policies, device_id: str) -> Tally:
        """One device by its own twin, identity and block."""
        async with self._looks:
            stored = await self._store.load(device_id)
            twin = await self._registry.get_twin(device_id)
            is_blocked = await self._is_still_blocked(stored.record) if stored and twin is not None else None
        unreadable: set[str] = set()

        def reducer(_: str, record: DeviceRecord | None) -> Reduction | None:
            if twin is None:
                return self._gone(record, source) if record else None
            base = self._alive(record, source)
            change = self._compared(base.record if base else record, twin, source, policies, unreadable)
            return _shut_again(_in_turn(base, change), record, is_blocked, source)

        written = await self._written([device_id], reducer)
        outcome = "gone" if twin is None else "repaired" if is_blocked is None else "recontained"
        return Counter({"looked_at": 1, "unreadable": len(unreadable), outcome: len(written)})

    async def _is_still_blocked(self, record: DeviceRecord) -> bool | None:
        """Of a device that is shut out and whose identity is enabled: whether DPS still turns it away. Else None."""
        if not inventory.is_shut_out(record):
            return None
        identity = await self._registry.get_identity(record.device_id)
        if identity is None or identity.status != "enabled":
            return None
        return await self._blocks.is_blocked(record.registration_id)

    def _gone(self, record: DeviceRecord, source: Source) -> Reduction | None:
        event = IdentityDeleted(
            event_id=source.event_id(record.device_id),
            enqueued_at=source.at,
            device_id=record.device_id,
            hub=record.hub,
            at=source.at,
        )
        return reduce(record, event, self._policies)

    def _alive(self, record: DeviceRecord | None, source: Source) -> Reduction | None:
        """A device that was retired and is there begins anew: the event of its creation was lost."""
        if record is None or record.state is not State.RETIRED:
            return None
        event = IdentityCreated(
            event_id=source.event_id(record.device_id),
            enqueued_at=source.at,
            device_id=record.device_id,
            hub=self._hub,
            at=source.at,
        )
        return reduce(record, event, self._policies)

    async def _written(
        self, device_ids: Iterable[str], reducer: Reducer, known: Mapping[str, Stored] | None = None
    ) -> list[Stored]:
        written = await self._store.update(device_ids, reducer, known)
        await self._outbox.dispatch(written)
        return written


def _shut_again(
    change: Reduction | None, record: DeviceRecord | None, is_blocked: bool | None, source: Source
) -> Reduction | None:
    """The change, and after it the containment of a device that somebody let in (is_blocked None: nobody did)."""
    current = change.record if change else record
    if is_blocked is None or current is None or current.containment is None or not inventory.is_shut_out(current):
        return change
    return _in_turn(change, inventory.reopened(current, current.containment, is_blocked, source))


def _in_turn(first: Reduction | None, second: Reduction | None) -> Reduction | None:
    """Two changes of one record, the second made of the first's."""
    if first is None or second is None:
        return first or second
    return replace(second, history=(*first.history, *second.history))
