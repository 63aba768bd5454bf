"""From batches of a partition to invocations and checkpoints: what the Event Hubs extension promises, and no more.

A checkpoint follows the invocation and its retries whether it succeeded or not (Event Hubs has no poison events); none
follows work that a stop or a lost partition cut off. One invocation is in flight per partition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from fleetcert.local.functions_host.engine import Function
from fleetcert.local.functions_host.event_hub_events import PartitionName, ReceivedEvent, batch_metadata, bodies_datum
from fleetcert.local.functions_host.invoker import Invoker

type Checkpoint = Callable[[], Awaitable[None]]  # writes that the batch, and all before it, is done with


@dataclass(slots=True)
class _Progress:
    batches: int = 0
    task: asyncio.Task[Any] | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class EventHubPump:
    """One event hub function and its partitions."""

    def __init__(
        self,
        function: Function,
        invoker: Invoker,
        *,
        data_type: Literal["BINARY", "STRING"],
        checkpoint_frequency: int,
    ) -> None:
        """checkpoint_frequency: in batches (host.json batchCheckpointFrequency)."""
        self._function = function
        self._invoker = invoker
        self._data_type = data_type
        self._frequency = checkpoint_frequency
        self._partitions: dict[str, _Progress] = {}

    async def handle(self, partition: PartitionName, events: Sequence[ReceivedEvent], checkpoint: Checkpoint) -> None:
        """Takes a batch through the function and its retry policy, then checkpoints.

        Raises: Stopping when the batch is not done with; whatever the checkpoint raises.
        """
        progress = self._partitions.setdefault(partition.partition_id, _Progress())
        async with progress.lock:
            progress.task = asyncio.current_task()
            try:
                await self._process(partition, events, checkpoint, progress)
            finally:
                progress.task = None

    async def abandon(self, partition_id: str) -> None:
        """The partition is lost: its running invocation is cancelled, and its events belong to the next owner."""
        progress = self._partitions.pop(partition_id, None)
        if progress is None or progress.task is None or progress.task is asyncio.current_task():
            return
        progress.task.cancel()
        await asyncio.wait([progress.task])

    async def _process(
        self,
        partition: PartitionName,
        events: Sequence[ReceivedEvent],
        checkpoint: Checkpoint,
        progress: _Progress,
    ) -> None:
        name = self._function.trigger["name"]
        async with self._invoker.work():
            inputs = {name: bodies_datum(events, self._data_type)}
            await self._invoker.with_retries(self._function, inputs, batch_metadata(partition, events))
            progress.batches += 1
            if progress.batches % self._frequency == 0:
                await checkpoint()
