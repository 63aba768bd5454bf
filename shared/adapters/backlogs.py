"""How much failed work waits: blobs in a container, messages in a poison queue; each by few requests."""

from __future__ import annotations

from typing import Final, Literal

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue.aio import QueueClient

from shared.adapters.containers import InContainer
from shared.adapters.faults import faults

PAGE: Final = 5000
"""Blobs in one answer, at most (Azure docs: List Blobs)."""
PAGES: Final = 4
"""Beyond 20,000 dead letters a larger number tells nobody anything."""


class BlobBacklog(InContainer):
    """The blobs of a container. A container that does not exist holds none."""

    kind: Final[Literal["dead-letters"]] = "dead-letters"

    @property
    def name(self) -> str:
        """The container's."""
        return str(self._container.container_name)

    async def count(self) -> int:
        """How many, at most 20,000: four requests."""
        pages = self._container.list_blob_names(results_per_page=PAGE).by_page()
        count = requests = 0
        with faults("blob storage"):
            try:
                async for page in pages:
                    count += len([name async for name in page])
                    requests += 1
                    if requests == PAGES:
                        break
            except ResourceNotFoundError:
                return 0
        return count


class PoisonBacklog:
    """The poison queue beside a work queue, `{queue}-poison`: Functions makes it with its first message."""

    kind: Final[Literal["poison"]] = "poison"

    def __init__(self, queue: QueueClient) -> None:
        self._queue = queue

    @classmethod
    def from_connection_string(cls, connection_string: str, queue: str) -> PoisonBacklog:
        """That of a queue in the account of a connection string."""
        return cls(QueueClient.from_connection_string(connection_string, f"{queue}-poison"))

    @classmethod
    def from_endpoint(cls, endpoint: str, queue: str, credential: AsyncTokenCredential) -> PoisonBacklog:
        """That of a queue behind `https://{account}.queue.core.windows.net`, by identity."""
        return cls(QueueClient(endpoint, f"{queue}-poison", credential=credential))

    @property
    def name(self) -> str:
        """The poison queue's."""
        return str(self._queue.queue_name)

    async def count(self) -> int:
        """How many, as the service estimates it: one request."""
        with faults("queue storage"):
            try:
                properties = await self._queue.get_queue_properties()
            except ResourceNotFoundError:
                return 0
        return int(properties.approximate_message_count or 0)

    async def close(self) -> None:
        """Closes the connections."""
        await self._queue.close()
