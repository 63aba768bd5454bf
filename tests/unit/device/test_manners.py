"""The simulated fleet's bad manners are what they are said to be, and its good ones too."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from io import StringIO
from typing import Any

import pytest

from fleetcert.device.events import AgentEvent, Happened
from fleetcert.device.options import World
from fleetcert.device.states import State
from fleetcert.local.fleet import OPTIONS, EventLog, device_names
from fleetcert.local.manners import Manner, options_of, with_manner
from shared.contracts import parse_instant


@pytest.fixture
def behaving(bench: Any) -> Callable[[Manner], Any]:
    """The bench with a device of that manner."""

    def prepare(manner: Manner) -> Any:
        bench.adapt = partial(with_manner, manner)
        bench.restart(options_of(manner, OPTIONS))
        bench.bring_up()
        return bench

    return prepare


def test_the_deaf_one_hears_no_command_and_does_not_return_after_its_end(behaving: Callable[[Manner], Any]) -> None:
    device = behaving(Manner.DEAF)
    device.send()
    device.agent.step()
    assert Happened.COMMAND not in device.happened()
    assert device.time.true + device.agent.step() == device.current.not_after
    device.time.true = device.current.not_after
    device.session.on_lost()
    for _ in range(20):
        device.step()
    assert len(device.registrar.requests) == 1
    assert Happened.EXPIRED in device.happened()
    assert device.agent.state is State.REGISTERING


def test_the_liar_contradicts_its_own_pem(behaving: Callable[[Manner], Any]) -> None:
    device = behaving(Manner.LIAR)
    claim = device.hub.patches[0]["certificate"]
    assert parse_instant(claim["validUntil"]).year > device.current.not_after.year + 9
    assert "BEGIN CERTIFICATE" in claim["pem"]
    device.send()
    device.agent.step()
    device.settle()
    assert len(device.happened(Happened.RENEWED)) == 1


def test_the_garbled_one_is_unreadable_once_and_proper_afterwards(behaving: Callable[[Manner], Any]) -> None:
    device = behaving(Manner.GARBLED)
    first, second = device.hub.patches
    with pytest.raises(ValueError, match="yesterday"):
        parse_instant(first["certificate"]["validFrom"])
    assert parse_instant(second["certificate"]["validFrom"]) == device.current.not_before
    device.send()
    device.agent.step()
    device.settle()
    assert "renewal" in device.hub.patches[-1]
    assert len(device.hub.patches) == 4
    assert parse_instant(device.hub.patches[2]["certificate"]["validFrom"])


@pytest.mark.parametrize("manner", [Manner.GOOD, Manner.DISABLED])
def test_the_good_ones_meet_the_world_as_it_is(bench: Any, manner: Manner) -> None:
    world = World(bench.registrar, bench.hub)
    assert with_manner(manner, world) is world


def test_the_fleet_has_each_bad_manner_once_under_its_name() -> None:
    names = device_names(25)
    assert len(names) == 25
    bad = {name: manner for name, manner in names.items() if manner is not Manner.GOOD}
    assert bad == {f"sim-{manner}": manner for manner in Manner if manner is not Manner.GOOD}
    assert list(device_names(2)) == ["sim-deaf", "sim-liar"]


def test_an_event_is_one_json_line_with_the_certificate_concerned(behaving: Callable[[Manner], Any]) -> None:
    device = behaving(Manner.GOOD)
    stream = StringIO()
    events: list[AgentEvent] = device.events
    for event in events:
        EventLog(stream).write(Manner.GOOD, event)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["registered", "connected", "reported"]
    assert {line["thumbprint"] for line in lines} == {device.current.thumbprint}
    assert lines[0].keys() >= {"time", "deviceId", "state", "notAfter", "manner"}
