"""Output bindings: storage queues. HTTP responses are `$return` of their trigger and handled there."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Any, Literal

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue.aio import QueueClient

from fleetcert.local.functions_host.connections import connection
from fleetcert.local.functions_host.engine import Function, Outcome
from fleetcert.local.functions_host.settings import expand_binding

SUPPORTED = frozenset({"http", "queue"})


class OutputBindings:
    """Writes what a function returned or set into the queues that its bindings name."""

    def __init__(self, settings: Mapping[str, str], encoding: Literal["base64", "none"]) -> None:
        self._settings = settings
        self._encoding = encoding
        self._clients: dict[tuple[str, str], QueueClient] = {}
        self._stack = AsyncExitStack()

    async def write(self, function: Function, outcome: Outcome) -> None:
        """Raises: AzureError."""
        values = {**outcome.outputs, "$return": outcome.returned}
        for binding in function.outputs:
            datum = values.get(binding["name"])
            if binding["type"] == "queue" and datum is not None and datum.value is not None:
                await self._send(expand_binding(binding, self._settings), datum)

    async def close(self) -> None:
        """Closes the clients."""
        await self._stack.aclose()

    async def _send(self, binding: Mapping[str, Any], datum: Any) -> None:
        client = await self._client(binding["connection"], binding["queueName"])
        for message in _messages(datum):
            content = encode_message(message, self._encoding)
            try:
                await client.send_message(content)
            except ResourceNotFoundError:
                await client.create_queue()
                await client.send_message(content)

    async def _client(self, connection_name: str, queue: str) -> QueueClient:
        key = (connection_name, queue)
        if key not in self._clients:
            self._clients[key] = await connection(self._settings, connection_name).queue(self._stack, queue)
        return self._clients[key]


def encode_message(message: bytes, encoding: Literal["base64", "none"]) -> str:
    """A queue message's text under host.json's messageEncoding."""
    return base64.b64encode(message).decode("ascii") if encoding == "base64" else message.decode("utf-8")


def _messages(datum: Any) -> Iterator[bytes]:
    """One message, or one for each member of a JSON array, as the host's queue collector does."""
    if datum.type == "bytes":
        yield datum.value
        return
    try:
        content = json.loads(datum.value)
    except ValueError:
        content = datum.value
    members = content if isinstance(content, list) else [datum.value]
    for member in members:
        yield (member if isinstance(member, str) else json.dumps(member)).encode("utf-8")
