"""Every setting that the app reads is set by the deployment, every one that is set is read, and all can be read."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import msgspec
import pytest
from croniter import croniter
from support import app_settings

from shared.settings import Settings, read_settings

TUNED = json.loads(app_settings.TUNED.read_text())
GIVEN = {
    "IOT_EVENTS": "iot-events",
    "DPS_EVENTS": "dps-events",
    "RENEWAL_COMMANDS": "renewal-commands",
    "CONTAINMENT": "containment",
    "IOTHUB_HOSTNAME": "contoso.azure-devices.net",
    "IOTHUB_RESOURCE_ID": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/IotHubs/contoso",
    "DPS_SERVICE_HOSTNAME": "contoso.azure-devices-provisioning.net",
    "EVENTGRID_TOPIC_ENDPOINT": "https://topic.westeurope-1.eventgrid.azure.net/api/events",
    "FleetStorage__tableServiceUri": "https://a.table.core.windows.net/",
    "FleetStorage__queueServiceUri": "https://a.queue.core.windows.net/",
    "FleetStorage__blobServiceUri": "https://a.blob.core.windows.net/",
}
"""Such values as a deployment gives."""


def test_what_is_read_is_set_and_what_is_set_is_read():
    found = app_settings.differences(app_settings.read_by_the_app(), app_settings.set_by_the_deployment())
    assert not found, "\n" + "\n".join(found)


def test_a_setting_that_only_one_side_knows_is_named():
    reads, sets = app_settings.read_by_the_app(), app_settings.set_by_the_deployment()
    found = app_settings.differences(
        reads | {"READ_ONLY": "functions/x.py"}, sets | {"SET_ONLY": "x", "FleetStorage": "x"}
    )
    assert [line.split()[0] for line in found] == ["READ_ONLY", "SET_ONLY", "FleetStorage"]


def test_the_triggers_connections_are_seen():
    reads = app_settings.read_by_the_app()
    assert {"IotEvents__fullyQualifiedNamespace", "FleetStorage__queueServiceUri", "SWEEP_SCHEDULE"} <= set(reads)


def test_what_may_be_tuned_is_readable_and_begins_as_the_codes_own_default():
    tuned, plain = read_settings(GIVEN | TUNED), read_settings(GIVEN)
    for info in msgspec.structs.fields(Settings):
        assert getattr(tuned, info.name) == getattr(plain, info.name), info.encode_name


@pytest.mark.parametrize("name", sorted(name for name in TUNED if name.endswith("_SCHEDULE")))
def test_every_schedule_is_one_that_functions_understands(name: str):
    assert len(TUNED[name].split()) == 6
    ticks = croniter(TUNED[name], datetime(2026, 11, 23, tzinfo=UTC), second_at_beginning=True)
    first, second = ticks.get_next(datetime), ticks.get_next(datetime)
    assert 60 <= (second - first).total_seconds() <= 3600


def test_names_that_both_sides_must_know_are_taken_from_one_place():
    main = (app_settings.bicep.INFRA / "main.bicep").read_text()
    assert set(re.findall(r"tuned\.(\w+)", main)) == {"FLEET_TABLE", "DEAD_LETTERS", "AUDIT", "INVENTORY", "EXPORTS"}
