"""Who reads a partition for a consumer group, and who has to go when another comes.

Azure docs: Event Hubs features, "Epoch" and quotas: at most five readers without an epoch, or one with.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final, Protocol

from fleetcert.local.amqp.types import Symbol
from fleetcert.local.ports import AmqpRefused

EPOCH: Final = Symbol("com.microsoft:epoch")
"""The link property with which a reader claims a partition for itself."""

MAX_READERS: Final = 5


class Receiver(Protocol):
    """A reader. epoch: None where it shares the partition."""

    epoch: int | None

    def disconnect(self, refusal: AmqpRefused) -> None:
        """Ends the reader's link."""


class ConsumerGroup:
    """The readers of one consumer group, by partition."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._readers: dict[str, list[Receiver]] = defaultdict(list)

    def admit(self, partition_id: str, reader: Receiver) -> None:
        """Lets a reader in, and those out whose claim is lower. Raises: AmqpRefused where the reader's own is."""
        present = self._readers[partition_id]
        highest = max((other.epoch for other in present if other.epoch is not None), default=None)
        if highest is not None and (reader.epoch is None or reader.epoch < highest):
            reason = f"A receiver with a higher epoch '{highest}' already exists."
            raise AmqpRefused("amqp:link:stolen", reason)
        if reader.epoch is None and len(present) >= MAX_READERS:
            reason = f"At most {MAX_READERS} receivers may read a partition for a consumer group."
            raise AmqpRefused("amqp:resource-limit-exceeded", reason)
        if reader.epoch is not None:
            self._disconnect(partition_id, reader.epoch)
        self._readers[partition_id].append(reader)

    def leave(self, partition_id: str, reader: Receiver) -> None:
        """The reader is gone."""
        if reader in self._readers[partition_id]:
            self._readers[partition_id].remove(reader)

    def _disconnect(self, partition_id: str, epoch: int) -> None:
        reason = (
            f"New receiver '{self.name}' with higher epoch of '{epoch}' is created, the present one is disconnected."
        )
        for other in tuple(self._readers[partition_id]):
            other.disconnect(AmqpRefused("amqp:link:stolen", reason))
