"""The settings of what is watched and told."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import pytest

from shared.domain.ca_watch import ISSUER_LEVELS
from shared.domain.levels import Levels
from shared.domain.onboarding_watch import ONBOARDING_LEVELS
from shared.errors import SettingsError
from shared.services.snapshots import RUN
from shared.services.telling import DIGEST_ABOVE
from shared.settings import read_settings

REQUIRED: Final = {
    "IOT_EVENTS": "iot-events",
    "DPS_EVENTS": "dps-events",
    "CONNECTION_EVENTS": "connection-events",
    "RENEWAL_COMMANDS": "renewal-commands",
    "CONTAINMENT": "containment",
    "IOTHUB_HOSTNAME": "contoso.azure-devices.net",
    "IOTHUB_RESOURCE_ID": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Devices/IotHubs/contoso",
    "DPS_SERVICE_HOSTNAME": "contoso.azure-devices-provisioning.net",
    "EVENTGRID_TOPIC_ENDPOINT": "https://topic.westeurope-1.eventgrid.azure.net/api/events",
    "FleetStorage": "AccountName=a;AccountKey=very-secret",
}


def test_the_settings_defaults_are_those_of_the_rules():
    settings = read_settings(REQUIRED)
    assert settings.digest_above == DIGEST_ABOVE
    assert Levels.parse(settings.issuer_levels) == ISSUER_LEVELS
    assert Levels.parse(settings.onboarding_levels) == ONBOARDING_LEVELS
    assert settings.snapshot_interval == timedelta(hours=1)
    assert settings.snapshot_interval > RUN
    assert (settings.arm_endpoint, settings.dps_resource_id) == ("https://management.azure.com", None)
    assert settings.trusted_issuers == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DIGEST_ABOVE", "0"),
        ("ISSUER_LEVELS", "30,,7"),
        ("ISSUER_LEVELS", "30, 7"),
        ("ONBOARDING_LEVELS", "a week"),
        ("ONBOARDING_LEVELS", "0"),
        ("ARM_ENDPOINT", "http://management.azure.com"),
        ("DPS_RESOURCE_ID", "contoso"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_named(name: str, value: str):
    with pytest.raises(SettingsError) as caught:
        read_settings({**REQUIRED, name: value})
    assert caught.value.setting == name
