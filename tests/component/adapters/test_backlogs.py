"""Counting what waits, on Azurite."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from azure.storage.blob.aio import ContainerClient
from azure.storage.queue.aio import QueueClient

from shared.adapters import backlogs
from shared.adapters.backlogs import BlobBacklog, PoisonBacklog


@pytest.fixture
async def letters(storage: str, fresh_name: str) -> AsyncIterator[BlobBacklog]:
    backlog = BlobBacklog.from_connection_string(storage, fresh_name)
    yield backlog
    await backlog.close()


@pytest.fixture
async def poison(storage: str, fresh_name: str) -> AsyncIterator[PoisonBacklog]:
    backlog = PoisonBacklog.from_connection_string(storage, fresh_name)
    yield backlog
    await backlog.close()


async def test_what_does_not_exist_yet_holds_nothing(letters: BlobBacklog, poison: PoisonBacklog):
    assert (await letters.count(), await poison.count()) == (0, 0)


async def test_messages_of_the_poison_queue_are_counted(storage: str, fresh_name: str, poison: PoisonBacklog):
    async with QueueClient.from_connection_string(storage, f"{fresh_name}-poison") as queue:
        await queue.create_queue()
        for _ in range(3):
            await queue.send_message("m")
    assert (poison.name, await poison.count()) == (f"{fresh_name}-poison", 3)


async def test_blobs_are_counted_over_a_bounded_number_of_pages(
    storage: str, fresh_name: str, letters: BlobBacklog, monkeypatch: pytest.MonkeyPatch
):
    async with ContainerClient.from_connection_string(storage, fresh_name) as container:
        await container.create_container()
        for n in range(12):
            await container.upload_blob(f"iot-events/0/{n}", b"{}")
    assert (letters.name, await letters.count()) == (fresh_name, 12)
    monkeypatch.setattr(backlogs, "PAGE", 2)
    assert await letters.count() == 8, "four pages of two"
