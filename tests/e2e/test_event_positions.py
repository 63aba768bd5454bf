"""How far the running app has read, as Event Hubs and the host's checkpoints tell."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from azure.identity.aio import ManagedIdentityCredential
from support.event_hub_clients import HUB, marked, producer

from fleetcert.local.config import CONSUMER_GROUP, OTHER_CONSUMER_GROUP
from shared.adapters.event_positions import CHECKPOINTS, EventHubPlace, EventHubPositions, HostCheckpoints
from shared.errors import InfrastructureFault
from shared.services.event_lag import Position


async def positions(azure: dict[str, Any], group: str, **changes: Any) -> Sequence[Position]:
    given = {"connection": azure["eventhub_connection_string"], "is_namespace": False} | changes
    checkpoints = HostCheckpoints.from_connection_string(azure["storage_connection_string"], CHECKPOINTS)
    async with ManagedIdentityCredential() as credential:
        try:
            return await EventHubPositions(EventHubPlace(HUB, group, **given), checkpoints, credential).read()
        finally:
            await checkpoints.close()


async def send(azure: dict[str, Any]) -> None:
    async with producer(azure) as sender:
        await sender.send_batch([marked("position", "no connection event")], partition_id="0")


async def read_to_the_end(azure: dict[str, Any]) -> Sequence[Position]:
    for _ in range(50):
        found = await positions(azure, CONSUMER_GROUP)
        if not any(position.waiting for position in found):
            return found
        await asyncio.sleep(0.2)
    pytest.fail(f"events wait for ever: {found}")


async def test_what_the_app_has_read_does_not_wait(azure: dict[str, Any]) -> None:
    await send(azure)
    found = await read_to_the_end(azure)
    first = next(position for position in found if position.partition == "0")
    assert first.processed == first.last >= 0


async def test_what_nobody_has_read_waits(azure: dict[str, Any]) -> None:
    await send(azure)
    found = {position.partition: position for position in await positions(azure, OTHER_CONSUMER_GROUP)}
    assert found["0"].processed is None
    assert found["0"].waiting == found["0"].last + 1 > 0


async def test_a_namespace_that_does_not_answer_is_a_fault_that_names_the_event_hub(azure: dict[str, Any]) -> None:
    elsewhere = azure["eventhub_connection_string"].replace("localhost", "localhost:1")
    with pytest.raises(InfrastructureFault, match=HUB):
        await positions(azure, CONSUMER_GROUP, connection=elsewhere)
