"""The table, the queues and the container that the app finds, as the Bicep template makes them in Azure."""

from __future__ import annotations

from collections.abc import Iterable

from azure.data.tables.aio import TableServiceClient
from azure.storage.blob.aio import BlobServiceClient
from azure.storage.queue.aio import QueueServiceClient


async def create_storage(
    connection_string: str, *, tables: Iterable[str], queues: Iterable[str], containers: Iterable[str]
) -> None:
    """Creates what is named; the account must be empty."""
    async with TableServiceClient.from_connection_string(connection_string) as table_service:
        for table in tables:
            await table_service.create_table(table)
    async with QueueServiceClient.from_connection_string(connection_string) as queue_service:
        for queue in queues:
            await queue_service.create_queue(queue)
    async with BlobServiceClient.from_connection_string(connection_string) as blob_service:
        for container in containers:
            await blob_service.create_container(container)
