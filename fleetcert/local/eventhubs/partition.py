"""A partition: an append-only log that forgets its oldest events."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fleetcert.local.amqp.messages import (
    MESSAGE_ANNOTATIONS,
    PROPERTIES,
    Message,
    sections,
    write_section,
)
from fleetcert.local.amqp.types import Symbol, Timestamp
from shared.clock import Clock

MAX_EVENTS: Final = 100_000
MAX_BYTES: Final = 64 * 1024 * 1024
"""What a partition retains at most: Event Hubs' bound is time, an in-memory log's is memory."""

SEQUENCE_NUMBER: Final = Symbol("x-opt-sequence-number")
OFFSET: Final = Symbol("x-opt-offset")
ENQUEUED_TIME: Final = Symbol("x-opt-enqueued-time")
PARTITION_KEY: Final = Symbol("x-opt-partition-key")


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event in its log. encoded: the AMQP message as consumers get it; offset: where it starts in the log, bytes."""

    sequence_number: int
    offset: int
    enqueued_at: Timestamp
    encoded: bytes

    @property
    def message(self) -> Message:
        """The event as its publisher wrote it, with the position in its annotations."""
        return Message.decode(self.encoded)


class Partition:
    """One partition of an event hub. Sequence numbers and offsets start at 0 and are never given twice."""

    def __init__(self, clock: Clock, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        self._clock = clock
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._events: list[StoredEvent] = []
        self._next_sequence_number = 0
        self._next_offset = 0
        self._last_enqueued = Timestamp(0)
        self._watchers: list[Callable[[], None]] = []

    @property
    def events(self) -> tuple[StoredEvent, ...]:
        """The events that are retained, oldest first."""
        return tuple(self._events)

    @property
    def begin_sequence_number(self) -> int:
        """The oldest retained event's, or the next event's where there is none."""
        return self._events[0].sequence_number if self._events else self._next_sequence_number

    @property
    def end_sequence_number(self) -> int:
        """The next event's."""
        return self._next_sequence_number

    @property
    def last_offset(self) -> int:
        """The newest event's; -1 where there was none."""
        return self._events[-1].offset if self._events else -1

    @property
    def last_enqueued(self) -> Timestamp:
        """When the newest event came; 0 where there was none."""
        return self._last_enqueued

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Calls `watcher` after each append, until the function that is returned is called."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def append(self, message: bytes, partition_key: str | None = None) -> StoredEvent:
        """Stores an encoded message under the next position. Raises: DecodeError."""
        # The wall clock may be set back; the log's order by time must hold all the same.
        now = max(self._last_enqueued, Timestamp.of(self._clock.now()))
        encoded = _stamp(message, self._next_sequence_number, self._next_offset, now, partition_key)
        event = StoredEvent(self._next_sequence_number, self._next_offset, now, encoded)
        self._events.append(event)
        self._next_sequence_number += 1
        self._next_offset += len(encoded)
        self._last_enqueued = now
        self._forget()
        for watcher in tuple(self._watchers):
            watcher()
        return event

    def at(self, sequence_number: int) -> StoredEvent | None:
        """The event, or the oldest retained one where that is younger; None at the end of the log."""
        index = max(0, sequence_number - self.begin_sequence_number)
        return self._events[index] if index < len(self._events) else None

    def after_offset(self, offset: int, *, inclusive: bool) -> int:
        """The sequence number at which a reader starts who has seen all up to `offset`."""
        bisect = bisect_left if inclusive else bisect_right
        return self.begin_sequence_number + bisect(self._events, offset, key=lambda event: event.offset)

    def after_time(self, instant: datetime | Timestamp, *, inclusive: bool) -> int:
        """The sequence number at which a reader starts who wants what came after `instant`."""
        bound = instant if isinstance(instant, Timestamp) else Timestamp.of(instant)
        bisect = bisect_left if inclusive else bisect_right
        return self.begin_sequence_number + bisect(self._events, bound, key=lambda event: event.enqueued_at)

    def _forget(self) -> None:
        """Drops the oldest tenth while there is too much: dropping one by one would cost the whole list each time."""
        while len(self._events) > self._max_events or (
            self._next_offset - self._events[0].offset > self._max_bytes and len(self._events) > 1
        ):
            del self._events[: max(1, len(self._events) // 10)]


def _stamp(message: bytes, sequence_number: int, offset: int, enqueued_at: Timestamp, key: str | None) -> bytes:
    """The message with its position in the annotations; header and delivery annotations end here, as in Azure."""
    annotations: dict[Symbol, object] = {}
    rest = []
    for section in sections(message):
        if section.code == MESSAGE_ANNOTATIONS and isinstance(section.value.value, dict):
            annotations |= section.value.value
        elif section.code >= PROPERTIES:
            rest.append(section.raw)
    annotations |= {SEQUENCE_NUMBER: sequence_number, OFFSET: str(offset), ENQUEUED_TIME: enqueued_at}
    if key is not None:
        annotations[PARTITION_KEY] = key
    return write_section(MESSAGE_ANNOTATIONS, annotations) + b"".join(rest)
