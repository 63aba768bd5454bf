"""A consumer's link: it follows a partition's log."""

from __future__ import annotations

import re
from typing import Final

from fleetcert.local.amqp.links import OutgoingLink
from fleetcert.local.eventhubs.hubs import EventHubs, not_found
from fleetcert.local.eventhubs.partition import Partition
from fleetcert.local.eventhubs.position import StartPosition
from fleetcert.local.eventhubs.receivers import EPOCH, ConsumerGroup
from fleetcert.local.ports import AmqpRefused

_PATH: Final = re.compile(
    r"(?P<hub>[^/]+)/ConsumerGroups/(?P<group>[^/]+)/Partitions/(?P<partition>[^/]+)", re.IGNORECASE
)


class Reader:
    """Sends a partition's events from a position on, as fast as the consumer gives credit."""

    def __init__(self, link: OutgoingLink, partition: Partition, start: int) -> None:
        self.epoch = _epoch(link)
        self._link = link
        self._partition = partition
        self._next = start

    def join(self, group: ConsumerGroup, partition_id: str) -> None:
        """Takes its place among the partition's readers. Raises: AmqpRefused."""
        group.admit(partition_id, self)
        self._group = group
        self._partition_id = partition_id
        self._unwatch = self._partition.watch(self.pump)

    def pump(self) -> None:
        """Sends the events that are there."""
        while self._link.ready and (event := self._partition.at(self._next)) is not None:
            self._next = event.sequence_number + 1
            self._link.deliver(event.encoded)

    def disconnect(self, refusal: AmqpRefused) -> None:
        """Ends the link: another reader has claimed the partition."""
        self._link.detach(refusal)

    def close(self) -> None:
        """Leaves its place."""
        self._group.leave(self._partition_id, self)
        self._unwatch()


def open_reader(event_hubs: EventHubs, link: OutgoingLink, path: str) -> Reader:
    """The reader for `hub/ConsumerGroups/group/Partitions/id`. Raises: AmqpRefused."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise not_found(path)
    hub = event_hubs.hub(match["hub"])
    group = hub.group(match["group"])
    partition = hub.partition(match["partition"])
    filters = link.attached.source.filter if link.attached.source else None
    reader = Reader(link, partition, StartPosition.of_filter(filters).resolve(partition))
    reader.join(group, match["partition"])
    return reader


def _epoch(link: OutgoingLink) -> int | None:
    epoch = (link.attached.properties or {}).get(EPOCH)
    if epoch is not None and (not isinstance(epoch, int) or epoch < 0):
        raise AmqpRefused("com.microsoft:argument-error", f"The epoch '{epoch}' is invalid.")
    return epoch
