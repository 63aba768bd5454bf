"""A storage queue of JSON messages, encoded as the Functions queue trigger expects them by default: base64."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import HttpResponseError
from azure.storage.queue import TextBase64EncodePolicy
from azure.storage.queue.aio import QueueClient

from shared.adapters.faults import error_code, faults

SERVICE: Final = "queue storage"
_NEVER: Final = -1
"""A message that waits for a device must not vanish after the service's default of seven days."""


class StorageQueue:
    """One queue. It is made where it is missing, before its first use."""

    def __init__(self, client: QueueClient) -> None:
        self._client = client
        self._exists = False

    @classmethod
    def from_connection_string(cls, connection_string: str, queue: str) -> StorageQueue:
        """The queue in the account of a connection string."""
        return cls(
            QueueClient.from_connection_string(connection_string, queue, message_encode_policy=TextBase64EncodePolicy())
        )

    @classmethod
    def from_endpoint(cls, endpoint: str, queue: str, credential: AsyncTokenCredential) -> StorageQueue:
        """The queue behind `https://{account}.queue.core.windows.net`, by identity."""
        return cls(QueueClient(endpoint, queue, credential=credential, message_encode_policy=TextBase64EncodePolicy()))

    async def put(self, message: Mapping[str, Any], delay: timedelta = timedelta()) -> None:
        """Queues a message (at most 48 KiB as JSON) that becomes visible after `delay`, at most seven days."""
        await self._ensure()
        with faults(SERVICE):
            await self._client.send_message(
                json.dumps(message, separators=(",", ":")),
                visibility_timeout=math.ceil(delay.total_seconds()),
                time_to_live=_NEVER,
            )

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def _ensure(self) -> None:
        if self._exists:
            return
        with faults(SERVICE):
            try:
                await self._client.create_queue()
            except HttpResponseError as problem:
                if error_code(problem) != "QueueAlreadyExists":
                    raise
        self._exists = True
