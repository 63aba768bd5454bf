"""azure-eventhub's clients as the tests use them, and what a consumer got."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, EventHubProducerClient, PartitionContext

HUB = "connection-events"
"""What tests write there disturbs nobody: the app passes over what is no connection event."""

PATIENCE_SECONDS = 20.0


def producer(azure: dict[str, Any], hub: str = HUB, **options: Any) -> EventHubProducerClient:
    return EventHubProducerClient.from_connection_string(
        azure["eventhub_connection_string"], eventhub_name=hub, retry_total=0, **options
    )


def consumer(azure: dict[str, Any], hub: str = HUB, group: str = "$Default", **options: Any) -> EventHubConsumerClient:
    return EventHubConsumerClient.from_connection_string(
        azure["eventhub_connection_string"], consumer_group=group, eventhub_name=hub, retry_total=0, **options
    )


def members(connection_string: str) -> dict[str, str]:
    return dict(member.split("=", 1) for member in connection_string.split(";") if member)


def over_tls(azure: dict[str, Any]) -> str:
    plain = members(azure["eventhub_connection_string"])
    policy, key = plain["SharedAccessKeyName"], plain["SharedAccessKey"]
    return f"Endpoint=sb://localhost/;SharedAccessKeyName={policy};SharedAccessKey={key}"


class Received:
    """What a consumer has got, by a property: each test marks its events, because all share the event hub."""

    def __init__(self, by: bytes, *, checkpoint: bool) -> None:
        self.by = by
        self.checkpoint = checkpoint
        self.errors: list[Exception] = []
        self._events: dict[bytes, list[tuple[str, EventData]]] = defaultdict(list)
        self._changed = asyncio.Condition()

    async def on_event(self, context: PartitionContext, event: EventData | None) -> None:
        if event is None:
            return
        if self.checkpoint:
            await context.update_checkpoint(event)
        async with self._changed:
            self._events[event.properties.get(self.by, b"")].append((context.partition_id, event))
            self._changed.notify_all()

    async def on_error(self, _context: PartitionContext | None, error: Exception) -> None:
        async with self._changed:
            self.errors.append(error)
            self._changed.notify_all()

    async def until(self, count: int, mark: str) -> Sequence[EventData]:
        """The events of a mark, as soon as there are so many."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(lambda: len(self._events[mark.encode()]) >= count or bool(self.errors))
        assert not self.errors
        return [event for _, event in self._events[mark.encode()]]

    async def until_error(self) -> Exception:
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(lambda: bool(self.errors))
        return self.errors[0]

    def bodies(self, mark: str) -> list[str]:
        return [event.body_as_str() for _, event in self._events[mark.encode()]]

    def partitions(self, mark: str) -> list[str]:
        return [partition for partition, _ in self._events[mark.encode()]]


@asynccontextmanager
async def receiving(
    client: EventHubConsumerClient, *, by: bytes = b"mark", checkpoint: bool = False, **options: Any
) -> AsyncIterator[Received]:
    received = Received(by, checkpoint=checkpoint)
    position = {"starting_position": "-1"} | options
    task = asyncio.create_task(client.receive(received.on_event, on_error=received.on_error, **position))
    try:
        yield received
    finally:
        await client.close()
        # A closed client's `receive` returns after its load balancing interval only: half a minute.
        task.cancel()
        await asyncio.wait([task])


def marked(mark: str, body: bytes | str = "body") -> EventData:
    event = EventData(body)
    event.properties = {"mark": mark}
    return event
