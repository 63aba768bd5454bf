"""The audit's append blobs. This adapter creates and appends; it has no way to change or to delete.

The container is not made here: one without an immutability policy would look like an audit and be none.
"""

from __future__ import annotations

from typing import Final

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import ContentSettings
from azure.storage.blob.aio import BlobClient

from shared.adapters.containers import InContainer
from shared.adapters.faults import error_code, faults
from shared.errors import Conflict
from shared.services.auditing import BlobEnd

SERVICE: Final = "blob storage (audit)"
_EXISTS: Final = frozenset({"BlobAlreadyExists", "ConditionNotMet", "BlobImmutableDueToPolicy"})
_LINES: Final = ContentSettings(content_type="application/jsonl")


class AppendBlobs(InContainer):
    """One container with append blobs whose names sort in their order."""

    async def newest(self) -> list[str]:
        """The names of the last two blobs in their order; fewer where there are fewer."""
        last: list[str] = []
        with faults(SERVICE):
            async for name in self._container.list_blob_names():
                last = [*last[-1:], name]
        return last

    async def end_of(self, name: str, window: int) -> BlobEnd:
        """Where the blob ends, and the whole lines in its last `window` bytes."""
        blob = self._container.get_blob_client(name)
        with faults(SERVICE):
            properties = await blob.get_blob_properties()
            size = properties.size
            tail = await _bytes(blob, max(0, size - window), size)
        if size > window:
            tail = tail.partition(b"\n")[2]
        return BlobEnd(size, properties.append_blob_committed_block_count or 0, tail)

    async def create(self, name: str) -> None:
        """Makes an empty blob; content where there is one, whatever it holds."""
        blob = self._container.get_blob_client(name)
        with faults(SERVICE):
            try:
                # without the condition, a blob that exists would be emptied
                await blob.create_append_blob(match_condition=MatchConditions.IfMissing, content_settings=_LINES)
            except HttpResponseError as problem:
                if error_code(problem) not in _EXISTS:
                    raise

    async def append(self, name: str, position: int, block: bytes) -> None:
        """Appends where the blob is `position` bytes long. Raises: Conflict where it is not."""
        blob = self._container.get_blob_client(name)
        with faults(SERVICE):
            try:
                await blob.append_block(block, length=len(block), appendpos_condition=position)
            except HttpResponseError as problem:
                if error_code(problem) == "AppendPositionConditionNotMet":
                    raise Conflict(f"{name} is no longer {position} bytes long") from problem
                raise


async def _bytes(blob: BlobClient, start: int, end: int) -> bytes:
    if start == end:
        return b""
    download = await blob.download_blob(offset=start, length=end - start)
    return bytes(await download.readall())
