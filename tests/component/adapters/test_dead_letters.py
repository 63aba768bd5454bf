"""Dead letters, on Azurite."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.storage.blob.aio import ContainerClient

from shared.adapters.deadletters import BlobDeadLetters
from shared.domain.envelope import Envelope

ENVELOPE = Envelope(
    hub="iot-events",
    partition="3",
    sequence_number=42,
    enqueued_at=datetime(2026, 11, 23, 10, 0, tzinfo=UTC),
    body=b"\xff\x00 not JSON",
    properties={"deviceId": "dev-1", "binary": b"\x01"},
    system={"iothub-message-source": "twinChangeEvents", "at": datetime(2026, 11, 23, tzinfo=UTC)},
)


@pytest.fixture
async def letters(storage: str, fresh_name: str) -> AsyncIterator[BlobDeadLetters]:
    letters = BlobDeadLetters.from_connection_string(storage, fresh_name)
    yield letters
    await letters.close()


@pytest.fixture
async def container(storage: str, fresh_name: str) -> AsyncIterator[ContainerClient]:
    client = ContainerClient.from_connection_string(storage, fresh_name)
    yield client
    await client.close()


async def document_at(container: ContainerClient, name: str) -> Any:
    blob = await container.download_blob(name)
    return json.loads(await blob.readall())


async def test_a_dead_letter_keeps_the_bytes_and_why(letters: BlobDeadLetters, container: ContainerClient):
    await letters.keep(ENVELOPE, "not JSON")
    document = await document_at(container, "iot-events/3/42")
    assert base64.b64decode(document["body"]) == ENVELOPE.body
    assert document["reason"] == "not JSON"
    assert document["properties"] == {"deviceId": "dev-1", "binary": "AQ=="}
    assert document["system"]["iothub-message-source"] == "twinChangeEvents"
    assert document["enqueuedAt"] == "2026-11-23T10:00:00Z"


async def test_the_same_event_again_changes_nothing(letters: BlobDeadLetters, container: ContainerClient):
    await letters.keep(ENVELOPE, "first")
    await letters.keep(ENVELOPE, "second")
    assert (await document_at(container, "iot-events/3/42"))["reason"] == "first"


async def test_events_of_other_positions_lie_beside_it(letters: BlobDeadLetters, container: ContainerClient):
    await letters.keep(ENVELOPE, "a")
    await letters.keep(replace(ENVELOPE, sequence_number=43), "b")
    names = [name async for name in container.list_blob_names()]
    assert names == ["iot-events/3/42", "iot-events/3/43"]
