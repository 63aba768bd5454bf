"""Bringing an inventory file to the app: a block blob in its storage account."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, BlobClient, ContainerClient, ContentSettings

from fleetcert.onboarding.inventory import read_inventory
from shared.adapters.faults import faults
from shared.errors import Conflict

CONTAINER: Final = "inventory"
BLOCK_BYTES: Final = 4 * 1024 * 1024
_SERVICE: Final = "blob storage"
_TYPE: Final = ContentSettings(content_type="application/jsonl")


def blob_name(path: Path, now: datetime) -> str:
    """`{yyyy-mm-ddThhmmss}-{file stem}.jsonl`, in UTC: names sort by the time of upload."""
    return f"{now:%Y-%m-%dT%H%M%S}-{path.stem}.jsonl"


def check_inventory(path: Path) -> int:
    """How many devices the file holds; each line is read. Raises: NotPossible that names a line that is none."""
    return sum(1 for _ in read_inventory(path))


def upload_inventory(container: ContainerClient, path: Path, name: str, progress: Callable[[int], None]) -> None:
    """Uploads block by block; the blob is there with all of them or not at all.

    progress: told how many more bytes are there. Raises: Conflict where a blob of this name is there,
    InfrastructureFault, RequestRejected.
    """
    with faults(_SERVICE):
        _make_sure_of(container)
        _upload(container.get_blob_client(name), path, progress)


def _make_sure_of(container: ContainerClient) -> None:
    try:
        container.get_container_properties()
    except ResourceNotFoundError:
        _create(container)


def _create(container: ContainerClient) -> None:
    try:
        container.create_container()
    except ResourceExistsError:  # somebody else made it meanwhile
        return


def _upload(blob: BlobClient, path: Path, progress: Callable[[int], None]) -> None:
    blocks: list[BlobBlock] = []
    with path.open("rb") as file:
        while data := file.read(BLOCK_BYTES):
            block_id = base64.b64encode(f"{len(blocks):08}".encode()).decode()
            blob.stage_block(block_id, data, len(data))
            blocks.append(BlobBlock(block_id))
            progress(len(data))
    try:
        blob.commit_block_list(blocks, content_settings=_TYPE, match_condition=MatchConditions.IfMissing)
    except ResourceExistsError as problem:
        raise Conflict(f"the blob {blob.blob_name} is there already") from problem
