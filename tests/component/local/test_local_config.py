"""What the environment may change about the local Azure, and what it may not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from fleetcert.local.assumptions import Assumptions
from fleetcert.local.config import FixedPorts, LocalConfig
from shared.errors import SettingsError


def test_an_empty_environment_gives_the_documented_defaults():
    config = LocalConfig.from_environment({})
    assert (config.validity, config.fixed_ports, config.throttled) == (timedelta(days=30), FixedPorts(), False)
    assert (config.folder.name, config.assumptions) == (".local", Assumptions())
    assert config.settings_file == config.app / "local.settings.json"


def test_every_setting_is_read():
    config = LocalConfig.from_environment(
        {
            "VALIDITY": "180",
            "FLEETCERT_LOCAL_DIR": "/elsewhere",
            "THROTTLED": "1",
            "AMQP_PORT": "15672",
            "ASSUMPTIONS": '{"block_matches": "credential", "lifecycle_first": false}',
        }
    )
    assert (config.validity, config.throttled) == (timedelta(minutes=3), True)
    assert config.fixed_ports == FixedPorts(amqp=15672)
    assert config.assumptions == Assumptions(block_matches="credential", lifecycle_first=False)
    assert config.settings_file == Path("/elsewhere/local.settings.json")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("VALIDITY", "9"),
        ("VALIDITY", "7776001"),
        ("VALIDITY", "P30D"),
        ("MQTT_PORT", "0"),
        ("MQTT_PORT", "65536"),
        ("AMQPS_PORT", "https"),
        ("ASSUMPTIONS", "block_matches=credential"),
        ("ASSUMPTIONS", '{"block_matches": "luck"}'),
        ("ASSUMPTIONS", '{"blockMatches": "credential"}'),
    ],
)
def test_a_wrong_setting_is_named(setting: str, value: str):
    with pytest.raises(SettingsError) as refusal:
        LocalConfig.from_environment({setting: value})
    assert refusal.value.setting == setting


def test_a_folder_of_its_own_is_emptied_and_one_of_others_is_not(tmp_path: Path):
    config = LocalConfig(folder=tmp_path / "local")
    config.make_clean_folder()
    (config.folder / "azure.json").touch()
    config.make_clean_folder()
    assert not config.azure_file.exists()
    (tmp_path / "mine.txt").touch()
    with pytest.raises(SettingsError, match="not made by"):
        LocalConfig(folder=tmp_path).make_clean_folder()
    assert (tmp_path / "mine.txt").exists()
