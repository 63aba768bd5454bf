"""A container of blobs that an adapter works on: how it is reached, and made where that is the adapter's to do."""

from __future__ import annotations

from typing import Self

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import HttpResponseError
from azure.storage.blob.aio import ContainerClient

from shared.adapters.faults import error_code, faults


class InContainer:
    """An adapter for one container."""

    def __init__(self, container: ContainerClient) -> None:
        self._container = container

    @classmethod
    def from_connection_string(cls, connection_string: str, container: str) -> Self:
        """The container in the account of a connection string."""
        return cls(ContainerClient.from_connection_string(connection_string, container))

    @classmethod
    def from_endpoint(cls, endpoint: str, container: str, credential: AsyncTokenCredential) -> Self:
        """The container behind `https://{account}.blob.core.windows.net`, by identity."""
        return cls(ContainerClient(endpoint, container, credential=credential))

    async def close(self) -> None:
        """Closes the connections."""
        await self._container.close()


class InOwnContainer(InContainer):
    """An adapter for one container that it makes where it is missing, before its first use."""

    def __init__(self, container: ContainerClient) -> None:
        super().__init__(container)
        self._exists = False

    async def _ensure(self) -> None:
        if self._exists:
            return
        with faults("blob storage"):
            try:
                await self._container.create_container()
            except HttpResponseError as problem:
                if error_code(problem) != "ContainerAlreadyExists":
                    raise
        self._exists = True
