"""Exports as block blobs in a container: blocks are staged, and a list of them makes the blob.

Blocks that no list names are dropped by the service after a week (Azure docs: Put Block).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobBlock, ContentSettings

from shared.adapters.containers import InOwnContainer
from shared.adapters.faults import error_code, faults
from shared.errors import NotFound
from shared.services.exporting import Piece

SERVICE: Final = "blob storage (exports)"
_ABSENT: Final = frozenset({"BlobNotFound", "ContainerNotFound", "ResourceNotFound"})
_CSV: Final = ContentSettings(content_type="text/csv; charset=utf-8", content_disposition="attachment")


class BlobExports(InOwnContainer):
    """One container, which is made where it is missing, before its first use."""

    def place_of(self, name: str) -> str:
        """`container/name`."""
        return f"{self._container.container_name}/{name}"

    async def stage(self, name: str, block: str, content: bytes) -> None:
        """Stores a block of a blob that is to be."""
        await self._ensure()
        with faults(SERVICE):
            await self._container.get_blob_client(name).stage_block(block, content, length=len(content))

    async def assemble(self, name: str, blocks: Sequence[str]) -> None:
        """The blob is these blocks from now on."""
        with faults(SERVICE):
            await self._container.get_blob_client(name).commit_block_list(
                [BlobBlock(block) for block in blocks], content_settings=_CSV
            )

    async def read(self, name: str, start: int, length: int) -> Piece:
        """At most `length` bytes from `start` on. Raises: NotFound."""
        blob = self._container.get_blob_client(name)
        with faults(SERVICE):
            try:
                properties = await blob.get_blob_properties()
                size, version = properties.size, str(properties.etag).strip('"')
                if start >= size:
                    return Piece(b"", size, version)
                download = await blob.download_blob(
                    offset=start,
                    length=min(length, size - start),
                    etag=properties.etag,
                    match_condition=MatchConditions.IfNotModified,
                )
                return Piece(bytes(await download.readall()), size, version)
            except HttpResponseError as problem:
                if error_code(problem) in _ABSENT:
                    raise NotFound("file", name) from problem
                raise

    async def remove(self, name: str) -> None:
        """Removes a blob, if there is one."""
        with faults(SERVICE):
            try:
                await self._container.delete_blob(name)
            except HttpResponseError as problem:
                if error_code(problem) not in _ABSENT:
                    raise

    async def older_than(self, instant: datetime, limit: int) -> list[str]:
        """The names of blobs that were made before, at most `limit`."""
        old: list[str] = []
        with faults(SERVICE):
            try:
                async for blob in self._container.list_blobs():
                    if blob.creation_time < instant:
                        old.append(blob.name)
                    if len(old) == limit:
                        break
            except HttpResponseError as problem:
                if error_code(problem) not in _ABSENT:
                    raise
        return old
