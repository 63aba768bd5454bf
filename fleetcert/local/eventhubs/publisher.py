"""A producer's link: single events and batches, to a partition or to the event hub."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from fleetcert.local.amqp.errors import DecodeError
from fleetcert.local.amqp.messages import DATA, MESSAGE_ANNOTATIONS, sections
from fleetcert.local.eventhubs.hubs import EventHubs, not_found
from fleetcert.local.eventhubs.partition import PARTITION_KEY

BATCH_FORMAT: Final = 0x80013700
"""The message format of a batch: each data section is a message of its own."""

MAX_EVENT_BYTES: Final = 1024 * 1024
"""The largest event or batch (Azure docs: Event Hubs quotas, standard tier)."""

_PATH: Final = re.compile(r"(?P<hub>[^/]+)(?:/Partitions/(?P<partition>[^/]+))?", re.IGNORECASE)


class Publisher:
    """Appends what comes on a link to its event hub."""

    max_message_size = MAX_EVENT_BYTES

    def __init__(self, event_hubs: EventHubs, path: str) -> None:
        """Raises: AmqpRefused where the path is none of an event hub or of a partition."""
        match = _PATH.fullmatch(path)
        if match is None:
            raise not_found(path)
        self._hub = event_hubs.hub(match["hub"])
        self._partition = self._hub.partition(match["partition"]) if match["partition"] else None

    def receive(self, message: bytes, message_format: int) -> None:
        """Appends an event, or all of a batch or none. Raises: DecodeError."""
        key = partition_key(message)
        events = list(_batched(message)) if message_format == BATCH_FORMAT else [message]
        keys = [key if key is not None else partition_key(event) for event in events]
        # The events of a batch stay together, so that their order is kept.
        partition = self._partition or self._hub.partition_for(next(iter(keys), None))
        for event, event_key in zip(events, keys, strict=True):
            partition.append(event, event_key)

    def close(self) -> None:
        """Nothing waits on this side."""


def partition_key(message: bytes) -> str | None:
    """The partition key in a message's annotations. Raises: DecodeError for what is no message."""
    key = None
    for section in sections(message):
        if section.code == MESSAGE_ANNOTATIONS and isinstance(section.value.value, dict):
            key = section.value.value.get(PARTITION_KEY)
    return str(key) if isinstance(key, str) else None


def _batched(batch: bytes) -> Iterator[bytes]:
    for section in sections(batch):
        if section.code == DATA:
            if not isinstance(section.value.value, bytes):
                raise DecodeError("a batch holds encoded messages")
            yield section.value.value
