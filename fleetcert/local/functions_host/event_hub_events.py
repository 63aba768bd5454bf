"""A received event hub batch, as the Event Hubs extension hands it to a worker: bodies and trigger metadata.

The member names and types are those of azure-sdk-for-net's EventHubTriggerBindingStrategy (batch trigger).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

from azure.eventhub import EventData

from fleetcert.local.functions_host.wire import json_datum, metadata_datums, naive_iso, to_datum, utc_iso

# AMQP timestamps arrive as plain integers (milliseconds); these are the keys that hold one.
_TIMESTAMPS: Final = frozenset({"x-opt-enqueued-time", "iothub-enqueuedtime", "absolute-expiry-time", "creation-time"})


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """One event of a partition. system: AMQP annotations and message properties; timestamps are ISO 8601 strings."""

    body: bytes
    sequence_number: int
    offset: str
    enqueued_at: datetime
    partition_key: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    system: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, event: EventData) -> ReceivedEvent:
        """From the SDK's event."""
        content: Any = event.body
        key = event.partition_key
        return cls(
            body=content if isinstance(content, bytes) else b"".join(content),
            sequence_number=event.sequence_number or 0,
            offset=event.offset or "",
            enqueued_at=event.enqueued_time or datetime.now(UTC),
            partition_key=None if key is None else _text(key),
            properties={_text(name): _plain(value) for name, value in (event.properties or {}).items()},
            system={_text(name): _system_value(_text(name), value) for name, value in event.system_properties.items()},
        )

    def system_properties(self) -> dict[str, Any]:
        """One member of SystemPropertiesArray."""
        return {
            **self.system,
            "SequenceNumber": self.sequence_number,
            "Offset": int(self.offset) if self.offset.isdecimal() else -1,
            "OffsetString": self.offset,
            "PartitionKey": self.partition_key,
            "EnqueuedTimeUtc": naive_iso(self.enqueued_at),
        }


@dataclass(frozen=True, slots=True)
class PartitionName:
    """Which partition of which event hub, read for which consumer group."""

    namespace: str
    event_hub: str
    consumer_group: str
    partition_id: str

    def to_json(self) -> dict[str, str]:
        """PartitionContext, as a function sees it."""
        return {
            "FullyQualifiedNamespace": self.namespace,
            "EventHubName": self.event_hub,
            "ConsumerGroup": self.consumer_group,
            "PartitionId": self.partition_id,
        }


def bodies_datum(events: Sequence[ReceivedEvent], data_type: Literal["BINARY", "STRING"]) -> Any:
    """The batch as collection_bytes or collection_string; the latter drops empty bodies, as Azure's host does."""
    if data_type == "BINARY":
        return to_datum([event.body for event in events])
    return to_datum([event.body.decode("utf-8", errors="replace") for event in events])


def batch_metadata(partition: PartitionName, events: Sequence[ReceivedEvent]) -> dict[str, Any]:
    """Trigger metadata of a batch, as Datums."""
    offsets = [event.offset for event in events]
    return {
        **metadata_datums(
            {
                "PartitionKeyArray": [event.partition_key for event in events if event.partition_key is not None],
                "OffsetArray": offsets,
                "OffsetStringArray": offsets,
                "SequenceNumberArray": [event.sequence_number for event in events],
            }
        ),
        "PartitionContext": json_datum(partition.to_json()),
        "TriggerPartitionContext": json_datum(partition.to_json()),
        "EnqueuedTimeUtcArray": json_datum([naive_iso(event.enqueued_at) for event in events]),
        "PropertiesArray": json_datum([event.properties for event in events]),
        "SystemPropertiesArray": json_datum([event.system_properties() for event in events]),
    }


def _text(value: Any) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)


def _plain(value: Any) -> Any:
    return _text(value) if isinstance(value, bytes) else value


def _system_value(name: str, value: Any) -> Any:
    if name in _TIMESTAMPS and isinstance(value, int):
        return utc_iso(datetime.fromtimestamp(value / 1000, UTC))
    return _plain(value)
