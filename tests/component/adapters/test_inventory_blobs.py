"""Inventories as blobs, on Azurite."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from azure.storage.blob.aio import ContainerClient

from shared.adapters.inventories import BlobInventories
from shared.errors import Conflict


@pytest.fixture
async def inventories(storage: str, fresh_name: str) -> AsyncIterator[BlobInventories]:
    inventories = BlobInventories.from_connection_string(storage, fresh_name)
    yield inventories
    await inventories.close()


@pytest.fixture
async def container(storage: str, fresh_name: str) -> AsyncIterator[ContainerClient]:
    async with ContainerClient.from_connection_string(storage, fresh_name) as client:
        await client.create_container()
        yield client


async def test_without_a_container_nothing_waits(inventories: BlobInventories) -> None:
    assert await inventories.pending() is None


async def test_blobs_wait_by_name_until_their_metadata_say_what_became_of_them(
    inventories: BlobInventories, container: ContainerClient
) -> None:
    await container.upload_blob("b.jsonl", b"later")
    await container.upload_blob("a.jsonl", b"0123456789", metadata={"uploadedby": "ann"})
    blob = await inventories.pending()
    assert blob is not None
    assert (blob.name, blob.size) == ("a.jsonl", 10)
    assert await inventories.read(blob, 8, 100) == b"89"
    assert await inventories.read(blob, 10, 100) == b""
    await inventories.finish(blob, {"importedat": "2026-11-23T12:00:00Z", "imported": "1"})
    properties = await container.get_blob_client("a.jsonl").get_blob_properties()
    assert properties.metadata == {"uploadedby": "ann", "importedat": "2026-11-23T12:00:00Z", "imported": "1"}
    following = await inventories.pending()
    assert following is not None
    assert following.name == "b.jsonl"


async def test_rejected_lines_are_appended_beside_it_and_are_no_inventory(
    inventories: BlobInventories, container: ContainerClient
) -> None:
    await container.upload_blob("a.jsonl", b"x")
    blob = await inventories.pending()
    assert blob is not None
    await inventories.reject(blob, [(3, "pem is missing")])
    await inventories.reject(blob, [(7, "not JSON")])
    kept = await (await container.download_blob("rejected/a.jsonl")).readall()
    assert [json.loads(line)["line"] for line in kept.splitlines()] == [3, 7]
    await inventories.finish(blob, {"importedat": "now"})
    assert await inventories.pending() is None


async def test_a_blob_that_was_replaced_is_not_what_it_was(
    inventories: BlobInventories, container: ContainerClient
) -> None:
    await container.upload_blob("a.jsonl", b"first")
    blob = await inventories.pending()
    assert blob is not None
    await container.upload_blob("a.jsonl", b"other", overwrite=True)
    with pytest.raises(Conflict):
        await inventories.read(blob, 0, 5)
    with pytest.raises(Conflict):
        await inventories.finish(blob, {"importedat": "now"})
