"""Event Hubs triggers: Microsoft's own consumer and blob checkpoint store feed the pump, all partitions at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, Literal

from azure.eventhub import CloseReason, EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext

from fleetcert.local.functions_host.connections import Connection, starting_position
from fleetcert.local.functions_host.engine import Function
from fleetcert.local.functions_host.event_hub_events import PartitionName, ReceivedEvent
from fleetcert.local.functions_host.event_hub_pump import EventHubPump
from fleetcert.local.functions_host.host_file import EventHubOptions
from fleetcert.local.functions_host.invoker import Invoker, Stopping
from fleetcert.local.functions_host.settings import ConfigurationError

CHECKPOINT_CONTAINER: Final = "azure-webjobs-eventhub"

logger = logging.getLogger(__name__)


class EventHubListener:
    """One event hub function on its event hub."""

    def __init__(
        self,
        function: Function,
        binding: Mapping[str, Any],
        invoker: Invoker,
        *,
        source: Connection,
        storage: Connection,
        options: EventHubOptions,
    ) -> None:
        """Raises: ConfigurationError for a binding that would lose events or that this host does not know."""
        self._function = function
        self._binding = binding
        self._source = source
        self._storage = storage
        self._options = options
        self._position = starting_position(options)
        self._pump = EventHubPump(
            function,
            invoker,
            data_type=_data_type(binding),
            checkpoint_frequency=options.batch_checkpoint_frequency,
        )

    async def run(self) -> None:
        """Receives until it is cancelled."""
        async with AsyncExitStack() as stack:
            await self._storage.container(stack, CHECKPOINT_CONTAINER)
            consumer = await self._source.event_hub(
                stack,
                name=self._binding["eventHubName"],
                consumer_group=self._binding.get("consumerGroup") or "$Default",
                checkpoints=await self._storage.checkpoints(stack, CHECKPOINT_CONTAINER),
                options=self._options,
            )
            await self._receive(consumer)

    async def _receive(self, consumer: EventHubConsumerClient) -> None:
        await consumer.receive_batch(
            self._on_batch,
            max_batch_size=self._options.max_event_batch_size,
            prefetch=self._options.prefetch_count,
            starting_position=self._position,
            on_error=self._on_error,
            on_partition_close=self._on_close,
        )

    async def _on_batch(self, context: PartitionContext, batch: Sequence[EventData]) -> None:
        if not batch:
            return
        partition = PartitionName(
            context.fully_qualified_namespace, context.eventhub_name, context.consumer_group, context.partition_id
        )
        events = [ReceivedEvent.of(event) for event in batch]
        try:
            await self._pump.handle(partition, events, lambda: context.update_checkpoint(batch[-1]))
        except Stopping:
            await asyncio.Event().wait()  # holds the partition until the host cancels it: nothing may follow a gap

    async def _on_error(self, context: PartitionContext | None, error: Exception) -> None:
        where = f"partition {context.partition_id}" if context else "load balancing"
        logger.warning("%s: %s of %s: %s", self._function.name, where, self._binding["eventHubName"], error)

    async def _on_close(self, context: PartitionContext, _reason: CloseReason) -> None:
        await self._pump.abandon(context.partition_id)


def _data_type(binding: Mapping[str, Any]) -> Literal["BINARY", "STRING"]:
    if str(binding.get("cardinality", "")).upper() != "MANY":
        raise ConfigurationError("event hub trigger: this host knows cardinality MANY only")
    given = str(binding.get("dataType", "")).upper()
    if given == "BINARY":
        return "BINARY"
    if given == "STRING":
        return "STRING"
    raise ConfigurationError("event hub trigger: set data_type (BINARY, or STRING which drops empty bodies)")
