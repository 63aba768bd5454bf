"""Settings: what is read, and the error that names what is wrong and how to mend it."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest

from shared.errors import SettingsError
from shared.settings import read_settings

REQUIRED = {
    "IOT_EVENTS": "iot-events",
    "DPS_EVENTS": "dps-events",
    "RENEWAL_COMMANDS": "renewal-commands",
    "CONTAINMENT": "containment",
    "IOTHUB_HOSTNAME": "contoso.azure-devices.net",
    "IOTHUB_RESOURCE_ID": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/IotHubs/contoso",
    "DPS_SERVICE_HOSTNAME": "contoso.azure-devices-provisioning.net",
    "EVENTGRID_TOPIC_ENDPOINT": "https://topic.westeurope-1.eventgrid.azure.net/api/events",
}
BY_CONNECTION_STRING = {**REQUIRED, "FleetStorage": "AccountName=a;AccountKey=very-secret"}
BY_IDENTITY = {
    **REQUIRED,
    "FleetStorage__tableServiceUri": "https://a.table.core.windows.net",
    "FleetStorage__queueServiceUri": "https://a.queue.core.windows.net",
    "FleetStorage__blobServiceUri": "https://a.blob.core.windows.net",
}


def test_what_is_not_given_has_a_default():
    settings = read_settings(BY_CONNECTION_STRING)
    assert settings.renewal_window == timedelta(days=7)
    assert settings.renewal_share == Fraction(1, 3)
    assert (settings.fleet_table, settings.shards, settings.dead_letters) == ("fleet", 16, "dead-letters")
    assert settings.platform_authenticates is False
    assert settings.has_managed_identity is False


def test_every_kind_of_setting_is_read_as_its_type():
    settings = read_settings(
        {
            **BY_CONNECTION_STRING,
            "RENEWAL_WINDOW": "PT90S",
            "RENEWAL_SHARE": "0.25",
            "SHARDS": "8",
            "WEBSITE_AUTH_ENABLED": "True",
            "IDENTITY_ENDPOINT": "http://127.0.0.1:1/token",
            "FLEETCERT_TENANT_ID": " tenant ",
        }
    )
    assert settings.renewal_window == timedelta(seconds=90)
    assert settings.renewal_share == Fraction(1, 4)
    assert settings.shards == 8
    assert settings.platform_authenticates is True
    assert settings.has_managed_identity is True
    assert settings.tenant_id == "tenant"


def test_storage_is_named_by_its_endpoints_where_there_is_no_connection_string():
    settings = read_settings(BY_IDENTITY)
    assert settings.storage is None
    assert settings.table_endpoint == "https://a.table.core.windows.net"


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", ["", "  "])
def test_a_missing_setting_is_named_with_what_it_should_be(name: str, value: str):
    with pytest.raises(SettingsError) as wrong:
        read_settings({**BY_CONNECTION_STRING, name: value})
    assert wrong.value.setting == name
    assert "is missing: set it to " in wrong.value.problem


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("RENEWAL_WINDOW", "7", "P7D"),
        ("RENEWAL_WINDOW", "a week", "P7D"),
        ("RENEWAL_WINDOW", "-P1D", "above zero"),
        ("COMMAND_TTL", "PT0S", "above zero"),
        ("RENEWAL_SHARE", "1/0", "1/3"),
        ("RENEWAL_SHARE", "third", "1/3"),
        ("RENEWAL_SHARE", "1", "below 1"),
        ("RENEWAL_SHARE", "-1/3", "above 0"),
        ("C2D_SHARE", "1.5", "at most 1"),
        ("SHARDS", "0", "from 1 to 100"),
        ("SHARDS", "many", "from 1 to 100"),
        ("C2D_PER_MINUTE", "0", "above zero"),
        ("WEBSITE_AUTH_ENABLED", "perhaps", "True or False"),
        ("FLEET_TABLE", "my-table", "letters and digits"),
        ("CONTAINMENT", "Containment", "a-z"),
        ("IOTHUB_HOSTNAME", "https://contoso.azure-devices.net", "without https://"),
        ("IOTHUB_RESOURCE_ID", "contoso", "/subscriptions/"),
        ("EVENTGRID_TOPIC_ENDPOINT", "http://topic.example/api/events", "https://"),
        ("FleetStorage__tableServiceUri", "http://a.table.core.windows.net", "https://"),
    ],
)
def test_a_wrong_setting_is_named_with_its_fix(name: str, value: str, fix: str):
    with pytest.raises(SettingsError) as wrong:
        read_settings({**BY_CONNECTION_STRING, name: value})
    assert wrong.value.setting == name
    assert fix in wrong.value.problem


@pytest.mark.parametrize("missing", [name for name in BY_IDENTITY if name.startswith("FleetStorage")])
def test_half_a_storage_account_is_refused(missing: str):
    with pytest.raises(SettingsError) as wrong:
        read_settings({name: value for name, value in BY_IDENTITY.items() if name != missing})
    assert wrong.value.setting == "FleetStorage"


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(SettingsError) as wrong:
        read_settings({"SHARDS": "x", "FleetStorage": "a"})
    told = [str(wrong.value), *wrong.value.__notes__]
    assert len(told) == len(REQUIRED) + 1
    assert any("SHARDS" in line for line in told)


def test_no_error_repeats_a_value_that_may_be_secret():
    with pytest.raises(SettingsError) as wrong:
        read_settings({**BY_CONNECTION_STRING, "SHARDS": "very-secret"})
    assert "very-secret" not in str(wrong.value)
