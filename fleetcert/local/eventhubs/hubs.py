"""The event hubs of a namespace: what is published, by whom it is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import cycle
from typing import Final

from fleetcert.local.amqp.messages import Message, Properties
from fleetcert.local.amqp.types import Symbol, Timestamp
from fleetcert.local.eventhubs.hashing import partition_of
from fleetcert.local.eventhubs.partition import MAX_EVENTS, Partition, StoredEvent
from fleetcert.local.eventhubs.receivers import ConsumerGroup
from fleetcert.local.ports import AmqpRefused, RoutedEvent
from shared.clock import Clock, SystemClock

DEFAULT_GROUP: Final = "$Default"
"""The consumer group that every event hub has."""


class EventHub:
    """One event hub. Names of consumer groups differ by more than case."""

    def __init__(self, name: str, partitions: Iterable[Partition], groups: Iterable[str], created_at: datetime) -> None:
        self.name = name
        self.partitions = tuple(partitions)
        self.created_at = created_at
        self._groups = {group.lower(): ConsumerGroup(group) for group in groups}
        self._round_robin = cycle(self.partitions)

    def partition(self, partition_id: str) -> Partition:
        """The partition of an id, `0` and on. Raises: AmqpRefused."""
        if partition_id.isdecimal() and int(partition_id) < len(self.partitions):
            return self.partitions[int(partition_id)]
        last = len(self.partitions) - 1
        reason = f"The specified partition '{partition_id}' is invalid. It should be between 0 and {last}."
        raise AmqpRefused("com.microsoft:argument-out-of-range", reason)

    def group(self, name: str) -> ConsumerGroup:
        """The consumer group. Raises: AmqpRefused (`amqp:not-found`)."""
        group = self._groups.get(name.lower())
        if group is None:
            raise not_found(f"{self.name}/ConsumerGroups/{name}")
        return group

    def partition_for(self, key: str | None) -> Partition:
        """The partition of a key; without one, the next in turn."""
        if key is None:
            return next(self._round_robin)
        return self.partitions[partition_of(key, len(self.partitions))]


class EventHubs:
    """The event hubs by name; the sink of IoT Hub's routes and of DPS's log."""

    def __init__(
        self,
        partition_counts: Mapping[str, int],
        consumer_groups: Iterable[str] = (),
        clock: Clock | None = None,
        max_events: int = MAX_EVENTS,
    ) -> None:
        clock = clock or SystemClock()
        groups = {DEFAULT_GROUP, *consumer_groups}
        self._hubs = {
            name.lower(): EventHub(name, [Partition(clock, max_events) for _ in range(count)], groups, clock.now())
            for name, count in partition_counts.items()
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The event hubs' names."""
        return tuple(hub.name for hub in self._hubs.values())

    def hub(self, name: str) -> EventHub:
        """The event hub; names differ by more than case. Raises: AmqpRefused (`amqp:not-found`)."""
        hub = self._hubs.get(name.lower())
        if hub is None:
            raise not_found(name)
        return hub

    def publish(self, event_hub: str, event: RoutedEvent) -> None:
        """Appends the event to the partition of its key. Raises: AmqpRefused for an event hub that does not exist."""
        partition = self.hub(event_hub).partition_for(event.partition_key)
        partition.append(_to_message(event).encode(), event.partition_key)

    def events(self, event_hub: str, partition: int | None = None) -> list[StoredEvent]:
        """What is retained, of one partition or of all: partition by partition, oldest first. Raises: AmqpRefused."""
        hub = self.hub(event_hub)
        chosen = hub.partitions if partition is None else (hub.partition(str(partition)),)
        return [event for each in chosen for event in each.events]


def not_found(entity: str) -> AmqpRefused:
    """The refusal for an entity that does not exist."""
    return AmqpRefused("amqp:not-found", f"The messaging entity '{entity}' could not be found.")


def _to_message(event: RoutedEvent) -> Message:
    annotations = {
        Symbol(name): Timestamp.of(value) if isinstance(value, datetime) else value
        for name, value in event.annotations.items()
    }
    return Message(
        annotations=annotations,
        properties=Properties(
            user_id=event.user_id.encode() if event.user_id is not None else None,
            correlation_id=event.correlation_id,
            content_type=event.content_type,
            content_encoding=event.content_encoding,
        ),
        application_properties=dict(event.properties),
        data=event.body,
    )
