"""`reconcile` on real storage, and the command line's part of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import cast

import pytest
from azure.data.tables import TableClient
from support.fakes import FakeTable
from support.reconciling import Fleet

from fleetcert.operating.reconcile import NotReadable, ask_for_a_pass, followed, is_asked_for, latest_pass
from shared.adapters.table import AzureTable
from shared.domain.passes import Phase, seen_range
from shared.domain.record import State
from shared.services.reconciling import Pace

EVERY_DEVICE = [f"d{n:03}-:.+%_#*?!(),=@;$'" for n in range(300)]


@pytest.fixture
async def fleet(storage: str, fresh_name: str) -> AsyncIterator[Fleet]:
    """A fleet whose table is Azurite's."""
    table = AzureTable.from_connection_string(storage, fresh_name)
    yield Fleet(table=cast(FakeTable, table))
    await table.close()


@pytest.fixture
def operators_table(storage: str, fresh_name: str) -> Iterator[TableClient]:
    """The same table, as the command line opens it."""
    with TableClient.from_connection_string(storage, fresh_name) as table:
        yield table


async def test_an_existing_fleet_is_recorded_compared_and_thinned_on_real_storage(fleet: Fleet):
    fleet.add(*EVERY_DEVICE, tags={"site": "Bern"})
    fleet.groups.add("fleet", *((d, d) for d in EVERY_DEVICE))
    fleet.query.size = fleet.groups.size = 120
    first = await fleet.run()
    assert (first.pages, first.found, first.registrations, first.gone) == (3, 300, 300, 0)
    del fleet.hub.twins[EVERY_DEVICE[7]]
    second = await fleet.again()
    assert (second.unchanged, second.gone, second.looked_at) == (299, 1, 1)
    assert (await fleet.record(EVERY_DEVICE[7])).state is State.RETIRED
    kept = await fleet.record(EVERY_DEVICE[8])
    assert (kept.tags, kept.enrollment_group, kept.issues_certificates) == ({"site": "Bern"}, "fleet", True)
    for finished in (first, second):
        assert [row.key async for row in fleet.table.scan("fleet", *seen_range(finished.id))] == []


async def test_a_pass_goes_on_from_what_the_table_holds_and_shows_its_progress(
    fleet: Fleet, operators_table: TableClient
):
    fleet.add(*EVERY_DEVICE[:50])
    fleet.query.size = 10
    fleet.pace = Pace(step=timedelta(seconds=10))
    fleet.compose()
    await fleet.reconciling.step()
    under_way = latest_pass(operators_table)
    assert under_way is not None
    assert (under_way.phase, under_way.progress, under_way.finished_at) == (Phase.TWINS, (20, 50), None)
    fleet.compose()
    finished = await fleet.run()
    assert finished.found == 50
    assert latest_pass(operators_table) == finished


async def test_a_request_from_the_command_line_is_followed_to_its_end(fleet: Fleet, operators_table: TableClient):
    fleet.add("dev-1")
    await fleet.run()
    ask_for_a_pass(operators_table)
    looks = asyncio.create_task(asyncio.to_thread(lambda: list(followed(operators_table, 0.01))))
    await asyncio.sleep(0.1)
    assert not looks.done(), "what was asked for is waited for"
    fleet.clock.advance(timedelta(hours=1))
    second = await fleet.run()
    assert (await looks)[-1] == second
    assert not is_asked_for(operators_table)


def test_before_the_first_pass_there_is_nothing_to_show(operators_table: TableClient):
    operators_table.create_table()
    assert latest_pass(operators_table) is None
    assert list(followed(operators_table, 0)) == [None]


def test_a_table_that_is_not_there_is_named_as_the_problem(operators_table: TableClient):
    with pytest.raises(NotReadable, match="cannot be written"):
        ask_for_a_pass(operators_table)


async def test_the_app_takes_a_step_at_its_tick(storage: str, fresh_name: str):
    """The composed service, as the timer calls it, with fakes for the hub and DPS alone."""
    from shared.composition.ports import Adapters
    from shared.composition.sdks import build_adapters
    from shared.composition.services import build_services
    from shared.settings import read_settings

    environment = {
        **dict.fromkeys(("IOT_EVENTS", "DPS_EVENTS", "RENEWAL_COMMANDS", "CONTAINMENT"), "name"),
        "IOTHUB_HOSTNAME": "hub-1.azure-devices.net",
        "IOTHUB_RESOURCE_ID": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/IotHubs/hub-1",
        "DPS_SERVICE_HOSTNAME": "dps-1.azure-devices-provisioning.net",
        "EVENTGRID_TOPIC_ENDPOINT": "https://topic.example/api/events",
        "FleetStorage": storage,
        "FLEET_TABLE": fresh_name,
        "SHARDS": "4",
    }
    settings = read_settings(environment)
    adapters = build_adapters(settings)
    fleet = Fleet(table=cast(FakeTable, adapters.table))
    fleet.add("dev-1")
    fleet.groups.add("fleet", ("dev-1", "dev-1"))
    faked = {
        "hub": fleet.hub,
        "fleet_query": fleet.query,
        "enrolled": fleet.groups,
        "provisioning": fleet.provisioning,
    }
    members = {name: getattr(adapters, name) for name in Adapters.__struct_fields__}
    services = await build_services(settings, Adapters(**{**members, **faked}))
    outcome = await services.reconciling.step()
    assert outcome is not None
    assert (outcome.phase, outcome.found) == (Phase.DONE, 1)
    assert (await fleet.record("dev-1")).hub == "hub-1"
    assert await services.reconciling.step() is None
    await adapters.connections.aclose()
