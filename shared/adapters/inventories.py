"""Inventories of onboarding leaves as block blobs in one container, and what could not be used of them beside it.

A blob waits until its metadata say `importedat`. Its rejected lines are appended to `rejected/{name}`, a line each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceModifiedError, ResourceNotFoundError

from shared.adapters.containers import InContainer
from shared.adapters.faults import error_code, faults
from shared.errors import Conflict
from shared.services.inventories import PendingBlob

SERVICE: Final = "blob storage"
REJECTED: Final = "rejected/"
_IMPORTED: Final = "importedat"


class BlobInventories(InContainer):
    """One container. Where it does not exist, nobody has uploaded anything."""

    async def pending(self) -> PendingBlob | None:
        """The first by name that has not been imported. Raises: InfrastructureFault."""
        with faults(SERVICE):
            try:
                async for blob in self._container.list_blobs(include=["metadata"]):
                    if not str(blob.name).startswith(REJECTED) and _IMPORTED not in (blob.metadata or {}):
                        return PendingBlob(str(blob.name), str(blob.etag).strip('"'), int(blob.size))
            except ResourceNotFoundError:
                return None
        return None

    async def read(self, blob: PendingBlob, offset: int, length: int) -> bytes:
        """A piece of it, shorter at its end. Raises: Conflict where the blob has changed, InfrastructureFault."""
        if offset >= blob.size:
            return b""
        with faults(SERVICE):
            try:
                download = await self._container.download_blob(
                    blob.name, offset=offset, length=min(length, blob.size - offset), **_unchanged(blob)
                )
                return bytes(await download.readall())
            except (ResourceModifiedError, ResourceNotFoundError) as problem:
                raise Conflict(f"inventory {blob.name} is not what it was") from problem

    async def reject(self, blob: PendingBlob, lines: Sequence[tuple[int, str]]) -> None:
        """Appends what could not be used. A piece that is read again appends its lines again."""
        text = "".join(json.dumps({"line": number, "reason": reason}) + "\n" for number, reason in lines)
        client = self._container.get_blob_client(REJECTED + blob.name)
        with faults(SERVICE):
            try:
                await client.create_append_blob(match_condition=MatchConditions.IfMissing)
            except HttpResponseError as problem:
                if error_code(problem) != "BlobAlreadyExists":
                    raise
            await client.append_block(text.encode())

    async def finish(self, blob: PendingBlob, outcome: Mapping[str, str]) -> None:
        """Writes what became of it into its metadata. Raises: Conflict, InfrastructureFault."""
        client = self._container.get_blob_client(blob.name)
        with faults(SERVICE):
            try:
                properties = await client.get_blob_properties()
                metadata = {**(properties.metadata or {}), **outcome}
                await client.set_blob_metadata(metadata, **_unchanged(blob))
            except (ResourceModifiedError, ResourceNotFoundError) as problem:
                raise Conflict(f"inventory {blob.name} is not what it was") from problem


def _unchanged(blob: PendingBlob) -> dict[str, Any]:
    return {"etag": f'"{blob.etag}"', "match_condition": MatchConditions.IfNotModified}
