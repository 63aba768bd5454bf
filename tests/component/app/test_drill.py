"""The drill: a fleet is backed up, its table is lost, the backup is restored, and the app goes on as if nothing was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from azure.data.tables import TableClient
from support.events import claim, device_pem, twin_event

from fleetcert.local.functions_host.event_hub_events import PartitionName, ReceivedEvent, batch_metadata, bodies_datum
from fleetcert.operating.backup import back_up
from fleetcert.operating.restore import restore
from shared.adapters.table import AzureTable
from shared.domain.envelope import Envelope


def silent(_: str, __: int) -> None:
    """No progress is shown."""


@pytest.fixture
async def table(ports: Any, storage: str, fresh_name: str) -> AsyncIterator[TableClient]:
    """The app's table on Azurite, as an operator sees it."""
    ports.table = AzureTable.from_connection_string(storage, fresh_name)
    with TableClient.from_connection_string(storage, fresh_name) as client:
        yield client
    await ports.table.close()


async def deliver(app: Any, *envelopes: Envelope) -> None:
    events = [
        ReceivedEvent(
            body=envelope.body,
            sequence_number=envelope.sequence_number,
            offset=str(envelope.sequence_number),
            enqueued_at=envelope.enqueued_at,
            properties=envelope.properties,
            system=envelope.system,
        )
        for envelope in envelopes
    ]
    partition = PartitionName("ns.servicebus.windows.net", "hub", "$Default", "0")
    inputs = {"events": bodies_datum(events, "BINARY")}
    outcome = await app.invoke("record_hub_events", inputs, batch_metadata(partition, events))
    assert outcome.ok, outcome.error


async def test_after_the_table_is_lost_and_restored_the_app_goes_on(
    fleet_app: Any, ports: Any, table: TableClient, tmp_path: Path, headers: Any
):
    reports = [twin_event({"certificate": claim()}, device_id=f"dev-{n}", sequence=n) for n in range(1, 4)]
    await deliver(fleet_app, *reports)
    ports.hub.add("dev-2")
    body = {"reason": "stolen", "onboardingPem": device_pem("dev-2")}
    contain = headers("Devices.Contain")
    asked = await fleet_app.call("disable_device", "POST", body=body, device_id="dev-2", headers=contain)
    assert asked.status == 202, asked.json
    reader = headers("Fleet.Read")
    before = [await fleet_app.call("show_device", device_id=f"dev-{n}", headers=reader) for n in range(1, 4)]

    await asyncio.to_thread(back_up, table, tmp_path / "fleet.gz", silent)
    await asyncio.to_thread(table.delete_table)
    await asyncio.to_thread(restore, table, tmp_path / "fleet.gz", silent)

    after = [await fleet_app.call("show_device", device_id=f"dev-{n}", headers=reader) for n in range(1, 4)]
    assert [answer.json for answer in after] == [answer.json for answer in before]
    assert before[1].json["containment"], "what no twin can tell is what a backup is for"
    await deliver(fleet_app, *reports)
    listed = (await fleet_app.call("list_devices", headers=reader)).json["devices"]
    assert sorted(device["deviceId"] for device in listed) == ["dev-1", "dev-2", "dev-3"]
    renewed = twin_event({"certificate": claim(thumbprint="bb" * 32)}, version=3, sequence=9)
    await deliver(fleet_app, renewed)
    shown = await fleet_app.call("show_device", device_id="dev-1", headers=reader)
    assert shown.json["certificate"]["thumbprint"] == "bb" * 32
