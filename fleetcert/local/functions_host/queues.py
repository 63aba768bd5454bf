"""Queue triggers: leases, retries by visibility, poison queues (Azure docs: Azure Queue storage trigger, host.json)."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from fleetcert.local.functions_host.connections import Connection
from fleetcert.local.functions_host.engine import Function
from fleetcert.local.functions_host.host_file import QueueOptions
from fleetcert.local.functions_host.invoker import Invoker, Stopping
from fleetcert.local.functions_host.wire import metadata_datums, to_datum

_LEASE: Final = timedelta(minutes=10)
_FIRST_POLL: Final = timedelta(milliseconds=100)

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Backoff:
    """The wait between looks into an empty queue: doubles up to a limit, starts again once something came."""

    limit: timedelta
    _next: timedelta = _FIRST_POLL

    def reset(self) -> None:
        """The queue was not empty."""
        self._next = _FIRST_POLL

    def wait(self) -> timedelta:
        """The next wait."""
        wait = min(self._next, self.limit)
        self._next = min(self._next * 2, self.limit)
        return wait


class QueueListener:
    """One queue function on its queue."""

    def __init__(
        self,
        function: Function,
        binding: Mapping[str, Any],
        invoker: Invoker,
        storage: Connection,
        options: QueueOptions,
    ) -> None:
        self._function = function
        self._binding = binding
        self._invoker = invoker
        self._storage = storage
        self._options = options
        self._in_flight: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Polls until it is cancelled or the host stops."""
        async with AsyncExitStack() as stack:
            queue = await self._storage.queue(stack, self._binding["queueName"])
            poison = await self._storage.queue(stack, f"{self._binding['queueName']}-poison")
            try:
                await self._poll(queue, poison)
                await asyncio.gather(*self._in_flight)  # a stop that takes too long cancels this
            finally:
                for task in self._in_flight:
                    task.cancel()
                await asyncio.gather(*self._in_flight, return_exceptions=True)

    async def _poll(self, queue: QueueClient, poison: QueueClient) -> None:
        backoff = Backoff(self._options.max_polling_interval)
        while True:
            while len(self._in_flight) > self._options.threshold:
                await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)
            try:
                # The fetch is work too: what a stop cut off between fetch and run would stay leased for minutes.
                async with self._invoker.work():
                    messages = await self._fetch(queue)
                    if self._invoker.is_stopping:
                        await self._give_back(queue, messages)
                        return
                    for message in messages:
                        self._begin(queue, poison, message)
            except Stopping:
                return
            if messages:
                backoff.reset()
            else:
                await asyncio.sleep(backoff.wait().total_seconds())

    async def _fetch(self, queue: QueueClient) -> list[QueueMessage]:
        lease = int(_LEASE.total_seconds())
        fetched = queue.receive_messages(max_messages=self._options.batch_size, visibility_timeout=lease)
        try:
            return [message async for message in fetched]
        except ResourceNotFoundError:  # a trigger does not create its queue
            return []
        except AzureError as error:
            logger.warning("%s: the queue cannot be read, looking again: %s", self._function.name, error)
            return []

    async def _give_back(self, queue: QueueClient, messages: list[QueueMessage]) -> None:
        for message in messages:
            await queue.update_message(message, visibility_timeout=0)

    def _begin(self, queue: QueueClient, poison: QueueClient, message: QueueMessage) -> None:
        # Eager, so that the message counts as work before this returns.
        work = self._handle(queue, poison, message)
        task = asyncio.Task(work, loop=asyncio.get_running_loop(), eager_start=True)
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def _handle(self, queue: QueueClient, poison: QueueClient, message: QueueMessage) -> None:
        try:
            async with self._invoker.work(), _lease(queue, message) as leased:
                await self._process(queue, poison, leased)
        except Exception:  # a task that dies would take its reason with it; the message comes back after its lease
            logger.exception("%s: message %s could not be settled", self._function.name, message.id)

    async def _process(self, queue: QueueClient, poison: QueueClient, message: QueueMessage) -> None:
        body = decode_message(message.content or "", self._options.message_encoding)
        attempts = message.dequeue_count or 0
        if body is None or attempts > self._options.max_dequeue_count:
            await self._move(queue, poison, message)
        elif await self._succeeds(message, body):
            await queue.delete_message(message)
        elif attempts >= self._options.max_dequeue_count:
            await self._move(queue, poison, message)
        else:
            timeout = int(self._options.visibility_timeout.total_seconds())
            await queue.update_message(message, visibility_timeout=timeout)

    async def _succeeds(self, message: QueueMessage, body: bytes) -> bool:
        is_binary = str(self._binding.get("dataType", "")).upper() == "BINARY"
        content = body if is_binary else body.decode("utf-8", errors="replace")
        inputs = {self._binding["name"]: to_datum(content)}
        outcome = await self._invoker.once(self._function, inputs, message_metadata(message, content))
        return outcome.ok

    async def _move(self, queue: QueueClient, poison: QueueClient, message: QueueMessage) -> None:
        logger.error("%s: message %s goes to %s", self._function.name, message.id, poison.queue_name)
        try:
            await poison.send_message(message.content)
        except ResourceNotFoundError:
            await poison.create_queue()
            await poison.send_message(message.content)
        await queue.delete_message(message)


def decode_message(content: str, encoding: Literal["base64", "none"]) -> bytes | None:
    """A message's body; None for text that is not base64 although host.json says so (the host poisons it)."""
    if encoding == "none":
        return content.encode("utf-8")
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error:
        return None


def message_metadata(message: QueueMessage, content: str | bytes) -> dict[str, Any]:
    """Trigger metadata of a queue message, as Datums."""
    return metadata_datums(
        {
            "QueueTrigger": content,
            "Id": message.id,
            "DequeueCount": message.dequeue_count,
            "PopReceipt": message.pop_receipt,
            "InsertionTime": message.inserted_on,
            "ExpirationTime": message.expires_on,
            "NextVisibleTime": message.next_visible_on,
        }
    )


@asynccontextmanager
async def _lease(queue: QueueClient, message: QueueMessage) -> AsyncIterator[QueueMessage]:
    """Keeps the message invisible for as long as the block runs; the message carries the newest receipt."""
    renewal = asyncio.create_task(_renew(queue, message))
    try:
        yield message
    finally:
        renewal.cancel()
        with suppress(asyncio.CancelledError):
            await renewal


async def _renew(queue: QueueClient, message: QueueMessage) -> None:
    while True:
        await asyncio.sleep(_LEASE.total_seconds() / 2)
        renewed = await queue.update_message(message, visibility_timeout=int(_LEASE.total_seconds()))
        message.pop_receipt = renewed.pop_receipt
