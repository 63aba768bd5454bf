"""Work queues, on Azurite, read as the Functions host reads them."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from shared.adapters.faults import RequestRejected
from shared.adapters.queues import StorageQueue

MESSAGE = {"deviceId": "dev-1", "commandId": "c1"}


@pytest.fixture
async def queue(storage: str, fresh_name: str) -> AsyncIterator[StorageQueue]:
    queue = StorageQueue.from_connection_string(storage, fresh_name)
    yield queue
    await queue.close()


@pytest.fixture
async def host(storage: str, fresh_name: str) -> AsyncIterator[QueueClient]:
    """The same queue as the host sees it: without any decoding."""
    client = QueueClient.from_connection_string(storage, fresh_name)
    yield client
    await client.close()


async def only(host: QueueClient) -> QueueMessage:
    message = await host.receive_message()
    assert message is not None
    return message


async def test_a_message_is_base64_of_json_as_the_trigger_expects_it(queue: StorageQueue, host: QueueClient):
    await queue.put(MESSAGE)
    message = await only(host)
    assert json.loads(base64.b64decode(message.content)) == MESSAGE


async def test_a_message_does_not_expire(queue: StorageQueue, host: QueueClient):
    await queue.put(MESSAGE)
    message = await only(host)
    assert message.expires_on is not None
    assert message.expires_on.year == 9999


async def test_a_delayed_message_is_hidden_until_its_time(queue: StorageQueue, host: QueueClient):
    await queue.put(MESSAGE, timedelta(hours=1))
    assert await host.receive_message() is None
    assert (await host.get_queue_properties()).approximate_message_count == 1


async def test_part_of_a_second_counts_as_a_whole_one(queue: StorageQueue, host: QueueClient):
    await queue.put(MESSAGE, timedelta(milliseconds=1))
    assert await host.receive_message() is None


async def test_two_workers_may_make_the_same_queue(storage: str, fresh_name: str, queue: StorageQueue):
    await queue.put(MESSAGE)
    second = StorageQueue.from_connection_string(storage, fresh_name)
    await second.put(MESSAGE)
    await second.close()


async def test_a_message_that_is_too_large_is_not_worth_a_retry(queue: StorageQueue):
    with pytest.raises(RequestRejected):
        await queue.put({"text": "x" * 70_000})
