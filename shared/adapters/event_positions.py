"""How far an event hub is read: the Functions host's checkpoints, beside what Event Hubs says of the partitions.

The checkpoints are the blobs `{namespace}/{event hub}/{consumer group}/checkpoint/{partition}`, in lower case, of the
container `azure-webjobs-eventhub` in the host's storage, with the sequence number in their metadata (source:
azure-sdk-for-net, BlobCheckpointStoreInternal and the Functions extension's EventHubsClientFactory).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ResourceNotFoundError

from shared.adapters.containers import InContainer
from shared.adapters.faults import faults
from shared.errors import InfrastructureFault
from shared.services.event_lag import Position

if TYPE_CHECKING:
    from azure.eventhub.aio import EventHubConsumerClient

CHECKPOINTS: Final = "azure-webjobs-eventhub"
_TIMEOUT_SECONDS: Final = 20


@dataclass(frozen=True, slots=True)
class EventHubPlace:
    """An event hub as a trigger names it. connection: a connection string, or the namespace's host name."""

    name: str
    consumer_group: str
    connection: str
    is_namespace: bool


class HostCheckpoints(InContainer):
    """What the Functions host keeps of its checkpoints, in its container `CHECKPOINTS`."""

    async def of(self, namespace: str, event_hub: str, consumer_group: str) -> dict[str, int]:
        """Partition -> sequence number of the last event that was processed."""
        prefix = f"{namespace}/{event_hub}/{consumer_group}/checkpoint/".lower()
        found: dict[str, int] = {}
        with faults("blob storage"):
            try:
                async for blob in self._container.list_blobs(name_starts_with=prefix, include=["metadata"]):
                    number = (blob.metadata or {}).get("sequencenumber", "")
                    if number.lstrip("-").isdecimal():
                        found[str(blob.name).removeprefix(prefix)] = int(number)
            except ResourceNotFoundError:
                return {}  # the host makes the container with its first checkpoint
        return found


class EventHubPositions:
    """One event hub, through Microsoft's own client."""

    def __init__(self, place: EventHubPlace, checkpoints: HostCheckpoints, credential: AsyncTokenCredential) -> None:
        self._place = place
        self._checkpoints = checkpoints
        self._credential = credential

    @property
    def name(self) -> str:
        """The event hub's."""
        return self._place.name

    async def read(self) -> Sequence[Position]:
        """Of every partition, over one connection that lasts for this look. Raises: InfrastructureFault."""
        # The SDK takes long to import, and of all functions only the timer that looks after the fleet needs it.
        from azure.eventhub.exceptions import EventHubError

        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                return await self._read()
        except (EventHubError, OSError, TimeoutError, ValueError) as problem:
            raise InfrastructureFault("Event Hubs", f"{self.name}: {problem or type(problem).__name__}") from problem

    async def _read(self) -> Sequence[Position]:
        async with self._client() as client:
            done = await self._checkpoints.of(self._namespace(), self._place.name, self._place.consumer_group)
            positions = []
            for partition in await client.get_partition_ids():
                properties = await client.get_partition_properties(partition)
                last = -1 if properties["is_empty"] else int(properties["last_enqueued_sequence_number"])
                positions.append(Position(partition, done.get(partition), last))
            return positions

    def _namespace(self) -> str:
        """The namespace's host name, as checkpoints are filed under it."""
        from azure.eventhub import parse_connection_string

        place = self._place
        if place.is_namespace:
            return place.connection
        return str(parse_connection_string(place.connection).fully_qualified_namespace)

    def _client(self) -> EventHubConsumerClient:
        from azure.eventhub.aio import EventHubConsumerClient

        place = self._place
        if place.is_namespace:
            return EventHubConsumerClient(
                place.connection, place.name, place.consumer_group, credential=self._credential
            )
        return EventHubConsumerClient.from_connection_string(
            place.connection, place.consumer_group, eventhub_name=place.name
        )
