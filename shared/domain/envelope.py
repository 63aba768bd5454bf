"""An event before anybody has believed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event as it came: bytes, properties and position. Nothing in it is trusted yet.

    hub: the event hub's name. properties: application properties. system: AMQP annotations and system properties.
    """

    hub: str
    partition: str
    sequence_number: int
    enqueued_at: datetime
    body: bytes
    properties: Mapping[str, Any]
    system: Mapping[str, Any]

    @property
    def event_id(self) -> str:
        """Where the event lies: unique for ever, and the same at every redelivery."""
        return f"{self.hub}/{self.partition}/{self.sequence_number}"
