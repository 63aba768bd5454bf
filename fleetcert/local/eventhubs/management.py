"""The `$management` node: properties of an event hub and of its partitions (Azure docs: Event Hubs AMQP guide)."""

from __future__ import annotations

from typing import Any, Final

from fleetcert.local.amqp.grants import Service
from fleetcert.local.amqp.links import IncomingLink
from fleetcert.local.amqp.messages import Message
from fleetcert.local.amqp.requests import Answer
from fleetcert.local.amqp.types import Array, Int, Timestamp
from fleetcert.local.eventhubs.hubs import EventHub, EventHubs
from fleetcert.local.ports import AmqpRefused

MANAGEMENT: Final = "$management"

EVENT_HUB_TYPE: Final = "com.microsoft:eventhub"
PARTITION_TYPE: Final = "com.microsoft:partition"

_STATUS: Final = {"amqp:not-found": 404, "amqp:unauthorized-access": 401}


class ManagementNode:
    """Answers READ."""

    def __init__(self, event_hubs: EventHubs) -> None:
        self._event_hubs = event_hubs

    def answer(self, request: Message, link: IncomingLink) -> Answer:
        """200 with the properties; 401 without a token for the event hub, 404 without the event hub, 400 else."""
        asked = request.application_properties
        name, partition = str(asked.get("name")), asked.get("partition")
        if asked.get("operation") != "READ":
            return Answer(400, f"The operation '{asked.get('operation')}' is not supported.")
        try:
            link.session.grants.require(Service.EVENT_HUBS, name)
            hub = self._event_hubs.hub(name)
            if asked.get("type") == EVENT_HUB_TYPE:
                return Answer(200, "OK", _hub_properties(hub))
            if asked.get("type") == PARTITION_TYPE:
                return Answer(200, "OK", _partition_properties(hub, str(partition)))
        except AmqpRefused as refusal:
            return Answer(_STATUS.get(refusal.condition, 400), refusal.description)
        return Answer(400, f"The type '{asked.get('type')}' is not supported.")


def _hub_properties(hub: EventHub) -> dict[str, Any]:
    ids = tuple(str(number) for number in range(len(hub.partitions)))
    return {
        "name": hub.name,
        "type": EVENT_HUB_TYPE,
        "created_at": Timestamp.of(hub.created_at),
        "partition_count": Int(len(ids)),
        "partition_ids": Array(ids),
    }


def _partition_properties(hub: EventHub, partition_id: str) -> dict[str, Any]:
    partition = hub.partition(partition_id)
    return {
        "name": hub.name,
        "type": PARTITION_TYPE,
        "partition": partition_id,
        "begin_sequence_number": partition.begin_sequence_number,
        "last_enqueued_sequence_number": partition.end_sequence_number - 1,
        "last_enqueued_offset": str(partition.last_offset),
        "last_enqueued_time_utc": partition.last_enqueued,
        "is_partition_empty": partition.end_sequence_number == 0,
    }
