"""A demo of any size keeps to its time, and says what its devices are doing."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fleetcert.local.app_settings import _FIXED
from fleetcert.local.demo.agents import FleetLog
from fleetcert.local.demo.pace import Pace
from fleetcert.local.demo.run import _DEADLINE_SECONDS
from shared.services.pacing import Budget

SIZES = st.integers(5, 200)
HEADROOM_SECONDS = 25
PER_MINUTE = 1000  # what the local Azure's hub is said to allow


def test_the_small_demo_is_what_it_was() -> None:
    assert Pace.of(25) == Pace(validity_seconds=160, stagger_seconds=0.1)
    assert Pace.of(5) == Pace.of(25)


@given(SIZES)
def test_no_more_devices_come_due_in_a_second_than_the_budget_renews(devices: int) -> None:
    pace = Pace.of(devices)
    spread = pace.stagger_seconds * devices + pace.validity_seconds / 3 / 4
    budget = Budget(per_minute=PER_MINUTE).commands / 60
    assert devices / spread <= 0.8 * budget
    assert _FIXED["C2D_SHARE"] == "0.5"


@given(SIZES)
def test_the_last_renewal_and_the_first_expiry_come_in_the_demos_time(devices: int) -> None:
    pace = Pace.of(devices)
    last_start = pace.stagger_seconds * devices
    last_due = last_start + pace.validity_seconds * (2 / 3 + 1 / 12)
    assert max(last_due, pace.validity_seconds) + HEADROOM_SECONDS <= _DEADLINE_SECONDS


def line(device: str, state: str, link: str) -> bytes:
    return json.dumps({"deviceId": device, "state": state, "link": link}).encode() + b"\n"


def test_the_newest_event_of_each_device_says_what_it_is_doing(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    log = FleetLog(file)
    assert log.doing() == Counter()
    file.write_bytes(line("a", "registering", "offline") + line("b", "operational", "online"))
    assert log.doing() == Counter({"registering": 1, "operational": 1})
    with file.open("ab") as stream:
        stream.write(line("a", "operational", "offline") + line("b", "registering", "barred"))
    assert log.doing() == Counter({"operational, offline": 1, "shut out": 1})


def test_half_a_line_waits_for_its_other_half(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    whole = line("a", "renewing", "online")
    file.write_bytes(whole[:10])
    log = FleetLog(file)
    assert log.doing() == Counter()
    file.write_bytes(whole)
    assert log.doing() == Counter({"renewing": 1})
