"""Connections by name, as bindings give them: a connection string, or a service's address and an identity.

Azure docs: "Configure an identity-based connection" (`<Name>__queueServiceUri`, `__blobServiceUri`,
`__fullyQualifiedNamespace`, `__credential`, `__clientId`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ResourceExistsError
from azure.eventhub import LoadBalancingStrategy
from azure.eventhub.aio import EventHubConsumerClient
from azure.eventhub.extensions.checkpointstoreblobaio import BlobCheckpointStore
from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential
from azure.storage.blob.aio import ContainerClient
from azure.storage.queue.aio import QueueClient

from fleetcert.local.functions_host.host_file import EventHubOptions
from fleetcert.local.functions_host.settings import ConfigurationError

# The public account of every storage emulator (Azure docs: "Connect to Azurite").
_DEVELOPMENT_STORAGE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
    "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)


@dataclass(frozen=True, slots=True)
class Connection:
    """One named connection. text: a connection string or None. properties: what followed `<Name>__`.

    Every client is entered into the stack that the caller gives, and closed with it.
    """

    name: str
    text: str | None
    properties: Mapping[str, str]

    async def queue(self, stack: AsyncExitStack, queue_name: str) -> QueueClient:
        """A client of one storage queue. Raises: ConfigurationError."""
        if self.text is not None:
            client = QueueClient.from_connection_string(self.text, queue_name)
        else:
            client = QueueClient(self._address("queueServiceUri"), queue_name, credential=await self._identity(stack))
        return await stack.enter_async_context(client)

    async def container(self, stack: AsyncExitStack, container: str) -> ContainerClient:
        """A client of one blob container, which is created if it is missing. Raises: ConfigurationError."""
        if self.text is not None:
            client = ContainerClient.from_connection_string(self.text, container)
        else:
            identity = await self._identity(stack)
            client = ContainerClient(self._address("blobServiceUri"), container, credential=identity)
        await stack.enter_async_context(client)
        with suppress(ResourceExistsError):
            await client.create_container()
        return client

    async def checkpoints(self, stack: AsyncExitStack, container: str) -> BlobCheckpointStore:
        """A checkpoint store in a blob container that exists. Raises: ConfigurationError."""
        if self.text is not None:
            store = BlobCheckpointStore.from_connection_string(self.text, container)
        else:
            identity = await self._identity(stack)
            store = BlobCheckpointStore(self._address("blobServiceUri"), container, credential=identity)
        return await stack.enter_async_context(store)

    async def event_hub(
        self,
        stack: AsyncExitStack,
        *,
        name: str,
        consumer_group: str,
        checkpoints: BlobCheckpointStore,
        options: EventHubOptions,
    ) -> EventHubConsumerClient:
        """A consumer of one event hub. Raises: ConfigurationError."""
        given: dict[str, Any] = {
            "consumer_group": consumer_group,
            "eventhub_name": name,
            "checkpoint_store": checkpoints,
            "load_balancing_strategy": LoadBalancingStrategy.GREEDY,
            "load_balancing_interval": options.load_balancing_update_interval.total_seconds(),
            "partition_ownership_expiration_interval": options.partition_ownership_expiration_interval.total_seconds(),
            # This client trusts certifi's bundle and ignores SSL_CERT_FILE unless it is told.
            "connection_verify": os.environ.get("SSL_CERT_FILE"),
        }
        if self.text is not None:
            client = EventHubConsumerClient.from_connection_string(self.text, **given)
        else:
            namespace = self._address("fullyQualifiedNamespace")
            client = EventHubConsumerClient(namespace, credential=await self._identity(stack), **given)
        return await stack.enter_async_context(client)

    def _address(self, kind: str) -> str:
        if kind not in self.properties:
            raise ConfigurationError(f"connection {self.name}: set {self.name}, or {self.name}__{kind}")
        return self.properties[kind]

    async def _identity(self, stack: AsyncExitStack) -> AsyncTokenCredential:
        client_id = self.properties.get("clientId")
        credential: AsyncTokenCredential
        if self.properties.get("credential") == "managedidentity":
            credential = ManagedIdentityCredential(client_id=client_id)
        else:
            credential = DefaultAzureCredential(managed_identity_client_id=client_id)
        return await stack.enter_async_context(credential)


def connection(settings: Mapping[str, str], name: str) -> Connection:
    """The connection of that name; like the real host also under `AzureWebJobs<name>`. Raises: ConfigurationError."""
    for candidate in (name, f"AzureWebJobs{name}"):
        prefix = f"{candidate}__"
        properties = {key.removeprefix(prefix): value for key, value in settings.items() if key.startswith(prefix)}
        text = settings.get(candidate)
        if text or properties:
            return Connection(candidate, _storage_text(text), properties)
    raise ConfigurationError(f"connection {name!r} is not set: set {name}, or {name}__... for an identity")


def starting_position(options: EventHubOptions) -> str | datetime:
    """Where a partition without a checkpoint starts, in the consumer's terms. Raises: ConfigurationError."""
    initial = options.initial_offset_options
    if initial.type == "fromEnd":
        return "@latest"
    if initial.type == "fromStart":
        return "-1"
    if initial.enqueued_time_utc is None:
        raise ConfigurationError("host.json: eventHubs.initialOffsetOptions needs enqueuedTimeUtc")
    return initial.enqueued_time_utc


def _storage_text(text: str | None) -> str | None:
    return _DEVELOPMENT_STORAGE if text == "UseDevelopmentStorage=true" else text or None
