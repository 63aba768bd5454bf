"""A device that is shut out, throttled, cut off or wrong about the time stays quiet, and comes back."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from fleetcert.device.errors import RegistrationDisabled, RegistrationRefused
from fleetcert.device.events import Happened, State
from fleetcert.device.options import AgentOptions
from shared.errors import InfrastructureFault, Throttled

CAP = AgentOptions().longest_pause


def shut_out(bench: Any) -> None:
    bench.hub.refuses = lambda _operational: True
    bench.registrar.always = RegistrationDisabled(0, "disabled")
    bench.session.on_lost()


def pauses(bench: Any, steps: int) -> list[timedelta]:
    """The pauses between the refusals of DPS in that many steps of the agent."""
    for _ in range(steps):
        bench.step()
    times: list[datetime] = [event.at for event in bench.happened(Happened.BLOCKED)]
    return [later - earlier for earlier, later in pairwise(times)]


def test_a_session_that_the_hub_ended_is_opened_again_after_a_pause(bench: Any) -> None:
    bench.bring_up()
    bench.session.on_lost()
    lost_at = bench.clock.time
    assert bench.agent.step() > lost_at
    assert bench.agent.state is State.CONNECTING
    bench.settle()
    assert len(bench.hub.sessions) == 2
    assert len(bench.registrar.requests) == 1


def test_the_end_of_an_older_session_does_not_end_the_present_one(bench: Any) -> None:
    bench.bring_up()
    first = bench.session
    bench.send()
    bench.settle()
    first.on_lost()
    bench.agent.step()
    assert bench.session.is_open
    assert bench.agent.state is State.OPERATIONAL


def test_a_disabled_device_asks_hub_and_dps_and_then_waits_ever_longer_up_to_the_cap(bench: Any) -> None:
    bench.bring_up()
    shut_out(bench)
    waited = pauses(bench, 120)
    assert len(waited) > 20
    assert all(CAP / 2 <= pause <= CAP for pause in waited[-5:])
    assert sum(waited[:3], timedelta()) < CAP / 2
    assert max(waited) <= CAP
    refusals = [event.detail["by"] for event in bench.happened(Happened.REFUSED)]
    assert refusals[:4] == ["IoT Hub", "DPS", "IoT Hub", "DPS"]


def test_a_disabled_device_makes_few_attempts_in_a_day(bench: Any) -> None:
    bench.bring_up()
    shut_out(bench)
    end = bench.clock.time + timedelta(days=1)
    while bench.clock.time < end:
        bench.step()
    assert 80 <= len(bench.registrar.requests) <= 250


def test_a_device_that_is_enabled_again_comes_back_with_the_certificate_that_it_holds(bench: Any) -> None:
    current = bench.bring_up()
    shut_out(bench)
    pauses(bench, 20)
    bench.hub.refuses = lambda _operational: False
    bench.settle()
    assert bench.session.operational == current
    assert bench.agent.state is State.OPERATIONAL


def test_a_device_whose_certificate_the_hub_no_longer_takes_gets_a_new_one_from_dps(bench: Any) -> None:
    old = bench.bring_up()
    bench.hub.refuses = lambda operational: operational.credential == old.credential
    bench.session.on_lost()
    bench.settle()
    assert bench.session.operational.credential != old.credential
    assert bench.agent.state is State.OPERATIONAL


def test_a_hub_that_refuses_whatever_dps_issues_does_not_make_it_issue_without_end(bench: Any) -> None:
    bench.bring_up()
    bench.hub.refuses = lambda _operational: True
    bench.session.on_lost()
    end = bench.clock.time + timedelta(hours=6)
    while bench.clock.time < end:
        bench.step()
    assert len(bench.registrar.requests) <= 70


def test_a_stranger_is_blocked_at_dps_without_ever_reaching_a_hub(bench: Any) -> None:
    bench.registrar.always = RegistrationRefused(401002, "Unauthorized")
    for _ in range(6):
        bench.step()
    assert bench.agent.state is State.BLOCKED or bench.agent.state is State.NEW
    assert bench.hub.attempts == []


def test_a_throttle_is_waited_out_for_at_least_as_long_as_it_said(bench: Any) -> None:
    bench.registrar.failures.append(Throttled("DPS", timedelta(minutes=3)))
    started = bench.clock.time
    assert bench.agent.step() >= started + timedelta(minutes=3)


def test_a_step_before_its_time_does_nothing(bench: Any) -> None:
    bench.registrar.failures.append(InfrastructureFault("DPS", "HTTP 500"))
    wake_at = bench.agent.step()
    bench.clock.time = wake_at - timedelta(microseconds=1)
    assert bench.agent.step() == wake_at
    assert len(bench.registrar.requests) == 1


def test_trouble_is_forgotten_after_a_session_that_lasted(bench: Any) -> None:
    bench.bring_up()
    for _ in range(10):
        bench.session.on_lost()
        bench.settle()
    bench.clock.time += timedelta(minutes=5)
    bench.session.on_lost()
    assert bench.agent.step() <= bench.clock.time + timedelta(seconds=1)


def test_a_clock_that_runs_ahead_does_not_renew_in_a_circle(bench: Any) -> None:
    bench.registrar.life = timedelta(days=1)
    issued_by = bench.registrar.clock
    bench.registrar.clock = type(issued_by)()  # the cloud's own time: a day behind the device's, but for an hour
    bench.clock.time += timedelta(hours=23)
    end = bench.clock.time + timedelta(minutes=50)
    while bench.clock.time < end:
        bench.step()
    assert 2 <= len(bench.registrar.requests) <= 20


def test_a_clock_beyond_every_expiry_does_not_register_in_a_circle(bench: Any) -> None:
    bench.registrar.clock = type(bench.clock)()
    bench.clock.time += timedelta(days=400)
    end = bench.clock.time + timedelta(hours=6)
    while bench.clock.time < end:
        bench.step()
    assert len(bench.registrar.requests) <= 70
