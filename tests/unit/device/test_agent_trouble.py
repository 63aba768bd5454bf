"""A device that is shut out, throttled, cut off, moved, full or wrong about the time stays quiet, and comes back."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from fleetcert.device.errors import DiskFault, RegistrationDisabled, RegistrationRefused
from fleetcert.device.events import Happened
from fleetcert.device.glimpse import Glimpse
from fleetcert.device.options import AgentOptions
from fleetcert.device.states import Link, State
from fleetcert.device.store import DeviceStore
from shared.errors import InfrastructureFault, Throttled

CAP = AgentOptions().longest_pause
GIVEN_UP_AFTER = AgentOptions().hub_given_up_after
YEAR = timedelta(days=365)


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
    assert bench.agent.step() > timedelta()
    assert bench.agent.link is Link.OFFLINE
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
    assert bench.agent.link is Link.ONLINE


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
    assert bench.agent.link is Link.BARRED


def test_a_disabled_device_makes_few_attempts_in_a_day_and_one_key(bench: Any) -> None:
    bench.bring_up()
    shut_out(bench)
    bench.run_for(timedelta(days=1))
    assert 80 <= len(bench.registrar.requests) <= 250
    assert len(bench.key_files()) == 2


def test_a_device_that_is_enabled_again_comes_back_with_the_certificate_that_it_holds(bench: Any) -> None:
    current = bench.bring_up()
    shut_out(bench)
    pauses(bench, 20)
    bench.hub.refuses = lambda _operational: False
    bench.settle()
    assert bench.session.operational == bench.current == current
    assert len(bench.key_files()) == 1


def test_a_device_whose_issuer_was_revoked_gets_a_new_certificate_from_dps(bench: Any) -> None:
    old = bench.bring_up()
    bench.hub.refuses = lambda operational: operational == old
    bench.session.on_lost()
    bench.settle()
    assert bench.session.operational != old
    assert bench.agent.state is State.OPERATIONAL


def test_a_hub_that_refuses_whatever_dps_issues_does_not_make_it_issue_without_end(bench: Any) -> None:
    bench.bring_up()
    bench.hub.refuses = lambda _operational: True
    bench.session.on_lost()
    bench.run_for(timedelta(hours=6))
    assert 3 <= len(bench.registrar.requests) <= 6
    assert len(bench.hub.attempts) <= 160
    bench.hub.refuses = lambda _operational: False
    bench.settle()


def test_a_device_that_is_disabled_at_the_hub_alone_comes_back_with_what_dps_gave_it_meanwhile(bench: Any) -> None:
    bench.bring_up()
    bench.hub.refuses = lambda _operational: True
    bench.session.on_lost()
    bench.run_for(timedelta(minutes=25))
    candidate = bench.store.candidate
    bench.hub.refuses = lambda _operational: False
    bench.settle()
    assert bench.current == candidate
    assert len(bench.registrar.requests) == 2


def test_a_candidate_that_was_never_taken_and_has_ended_is_replaced_through_dps(bench: Any) -> None:
    bench.registrar.issuer.life = timedelta(minutes=20)
    bench.hub.refuses = lambda _operational: True
    bench.run_for(timedelta(minutes=50))
    assert 2 <= len(bench.registrar.requests) <= 4


def test_a_candidate_that_the_hub_takes_by_now_is_used_though_dps_blocks_the_device(bench: Any) -> None:
    bench.hub.refuses = lambda _operational: True
    bench.run_for(timedelta(minutes=10))
    bench.registrar.always = RegistrationDisabled(0, "disabled")
    bench.run_for(GIVEN_UP_AFTER * 3)
    assert len(bench.registrar.requests) > 1
    bench.hub.refuses = lambda _operational: False
    bench.settle()
    assert len(bench.hub.sessions) == 1


def test_a_stranger_is_blocked_at_dps_without_ever_reaching_a_hub(bench: Any) -> None:
    bench.registrar.always = RegistrationRefused(401002, "Unauthorized")
    for _ in range(6):
        bench.step()
    assert (bench.agent.state, bench.agent.link) == (State.REGISTERING, Link.BARRED)
    assert bench.hub.attempts == []


def test_a_renewal_of_a_device_that_is_blocked_at_dps_alone_is_quiet_and_leaves_it_connected(bench: Any) -> None:
    old = bench.bring_up()
    bench.registrar.always = RegistrationDisabled(0, "disabled")
    bench.time.true = old.not_before + (old.not_after - old.not_before) * 0.86
    bench.run_for(timedelta(days=1))
    assert 80 <= len(bench.registrar.requests) <= 250
    assert bench.session.is_open


def test_a_throttle_is_waited_out_for_at_least_as_long_as_it_said(bench: Any) -> None:
    bench.registrar.failures.append(Throttled("DPS", timedelta(minutes=3)))
    assert bench.agent.step() >= timedelta(minutes=3)


def test_a_step_before_its_time_does_nothing(bench: Any) -> None:
    bench.registrar.failures.append(InfrastructureFault("DPS", "HTTP 500"))
    rest = bench.agent.step()
    bench.time.pass_by(rest - timedelta(milliseconds=1))
    assert timedelta() < bench.agent.step() <= timedelta(milliseconds=2)
    assert len(bench.registrar.requests) == 1


def test_trouble_is_forgotten_after_a_session_that_lasted(bench: Any) -> None:
    bench.bring_up()
    for _ in range(10):
        bench.session.on_lost()
        bench.settle()
    bench.time.pass_by(timedelta(minutes=5))
    bench.session.on_lost()
    assert bench.agent.step() <= timedelta(seconds=1)


# -- the network, and a hub that moved -------------------------------------------------------------------------------


def network(bench: Any, *, up: bool) -> None:
    bench.registrar.always = None if up else InfrastructureFault("DPS", "no route")
    bench.hub.unreachable = set() if up else {"hub.example", "new.example"}
    if not up and bench.hub.sessions:
        bench.session.on_lost()


def test_without_a_network_a_connected_device_tries_rarely_and_keeps_everything(bench: Any) -> None:
    current = bench.bring_up()
    tried = len(bench.hub.attempts)
    network(bench, up=False)
    bench.run_for(timedelta(days=1))
    assert 80 <= len(bench.hub.attempts) - tried + len(bench.registrar.requests) <= 350
    assert bench.current == current
    assert Glimpse.of(bench.directory).current.leaf == current.leaf
    network(bench, up=True)
    bench.settle()
    assert bench.session.is_open


def test_without_a_network_a_new_device_tries_rarely_with_one_key(bench: Any) -> None:
    network(bench, up=False)
    bench.run_for(timedelta(days=1))
    assert 80 <= len(bench.registrar.requests) <= 250
    assert len({public_key(request) for request in bench.registrar.requests}) == 1


def test_a_device_that_was_moved_while_it_was_away_finds_its_new_hub_through_dps(bench: Any) -> None:
    bench.bring_up()
    bench.registrar.hub = "new.example"
    bench.hub.refuses = lambda operational: operational.hub == "hub.example"  # the identity is gone there
    bench.session.on_lost()
    bench.settle()
    assert bench.session.operational.hub == bench.current.hub == "new.example"


def test_a_hub_that_is_gone_for_an_hour_makes_the_device_ask_dps_where_it_belongs(bench: Any) -> None:
    bench.bring_up()
    bench.registrar.hub = "new.example"
    bench.hub.unreachable.add("hub.example")  # its name is not even in the DNS any more
    bench.session.on_lost()
    bench.run_for(GIVEN_UP_AFTER * 0.49)
    assert len(bench.registrar.requests) == 1
    bench.run_for(GIVEN_UP_AFTER)
    assert bench.session.operational.hub == "new.example"
    assert len(bench.registrar.requests) == 2


def test_a_long_outage_of_the_hub_costs_few_registrations_and_no_certificate_in_use(bench: Any) -> None:
    old = bench.bring_up()
    bench.hub.unreachable.add("hub.example")
    bench.session.on_lost()
    bench.run_for(timedelta(days=7))
    assert bench.current == old
    assert 6 <= len(bench.registrar.requests) - 1 <= 16
    bench.hub.unreachable.clear()
    bench.settle()
    assert bench.session.is_open


def test_a_new_device_whose_hub_cannot_be_reached_asks_dps_again_now_and_then(bench: Any) -> None:
    bench.hub.unreachable.add("hub.example")
    bench.run_for(timedelta(days=7))
    assert 6 <= len(bench.registrar.requests) <= 18
    bench.registrar.hub = "new.example"
    bench.run_for(timedelta(days=1.1))
    assert bench.current.hub == "new.example"


def test_a_candidate_is_tried_again_where_dps_cannot_be_reached_either(bench: Any) -> None:
    bench.hub.unreachable.add("hub.example")
    bench.agent.step()
    candidate = bench.store.candidate
    network(bench, up=False)
    bench.run_for(timedelta(hours=6))
    assert bench.store.candidate == candidate
    bench.hub.unreachable.clear()
    bench.settle()
    assert bench.current == candidate


# -- a clock that is wrong -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [-50 * YEAR, -timedelta(days=40), timedelta(days=40), 5 * YEAR], ids=str)
def test_a_clock_that_is_wrong_by_years_costs_neither_certificates_nor_renewals(bench: Any, wrong: timedelta) -> None:
    bench.time.wrong = wrong
    bench.bring_up()
    assert bench.happened().count(Happened.CLOCK_WRONG) == 1
    bench.run_for(timedelta(days=100))
    assert 4 <= len(bench.registrar.requests) <= 5
    assert bench.happened().count(Happened.EXPIRED) == 0


@pytest.mark.parametrize("wrong", [-50 * YEAR, 5 * YEAR], ids=str)
def test_a_clock_that_is_wrong_at_a_restart_does_not_throw_a_good_certificate_away(
    bench: Any, wrong: timedelta
) -> None:
    current = bench.bring_up()
    bench.time.wrong = wrong
    bench.restart()
    bench.settle()
    bench.run_for(timedelta(hours=1))
    assert bench.session.is_open
    assert len(bench.registrar.requests) <= 2
    assert bench.hub.attempts.count((current.hub, current.thumbprint)) == 2


def test_a_clock_that_is_set_right_is_believed_again(bench: Any) -> None:
    bench.time.wrong = -10 * YEAR
    current = bench.bring_up()
    bench.time.wrong = timedelta()
    rest = bench.agent.step()
    lifetime = current.not_after - current.not_before
    assert lifetime * 0.79 <= rest <= lifetime * 0.86


def test_a_clock_that_is_set_back_by_years_does_not_make_a_pause_last_for_years(bench: Any) -> None:
    bench.registrar.failures.append(InfrastructureFault("DPS", "HTTP 500"))
    bench.agent.step()
    bench.time.wrong = -10 * YEAR
    assert bench.agent.step() <= timedelta(seconds=1)


def test_a_clock_that_runs_ahead_by_an_hour_does_not_renew_in_a_circle(bench: Any) -> None:
    bench.registrar.issuer.life = timedelta(minutes=50)
    bench.time.wrong = timedelta(hours=1)
    bench.run_for(timedelta(hours=10))
    assert 12 <= len(bench.registrar.requests) <= 17


def test_certificates_that_are_nearly_over_when_they_are_proven_are_not_renewed_in_a_circle(bench: Any) -> None:
    bench.registrar.issuer.life = timedelta(seconds=10)

    def take_long(_operational: Any) -> bool:
        bench.time.pass_by(timedelta(seconds=9))
        return False

    bench.hub.refuses = take_long
    bench.run_for(timedelta(hours=6))
    assert len(bench.registrar.requests) <= 70


# -- a disk that is full ---------------------------------------------------------------------------------------------


@pytest.fixture
def disk_is_full(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Lets nothing new be written until it is told otherwise."""
    real = os.fsync

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    return lambda is_full: monkeypatch.setattr(os, "fsync", full if is_full else real)


def test_a_full_disk_at_the_first_start_costs_no_certificate(bench: Any, disk_is_full: Callable[[bool], None]) -> None:
    disk_is_full(True)
    bench.run_for(timedelta(hours=6))
    assert bench.registrar.requests == []
    assert "No space left" in bench.happened(Happened.FAULT)[0].detail["problem"]
    assert list(bench.directory.iterdir()) == []
    disk_is_full(False)
    bench.settle()


def test_a_full_disk_leaves_a_connected_device_connected(bench: Any, disk_is_full: Callable[[bool], None]) -> None:
    current = bench.bring_up()
    disk_is_full(True)
    bench.send()
    bench.run_for(timedelta(hours=6))
    assert bench.session.is_open
    assert len(bench.registrar.requests) == 1
    assert Glimpse.of(bench.directory).current.leaf == current.leaf
    disk_is_full(False)
    bench.settle()
    assert bench.current != current  # the command was not forgotten


def test_a_disk_that_fills_up_during_a_renewal_costs_one_certificate_and_not_one_an_attempt(
    bench: Any, disk_is_full: Callable[[bool], None]
) -> None:
    old = bench.bring_up()
    bench.registrar.before_answer = lambda: disk_is_full(True)
    bench.send()
    bench.run_for(timedelta(hours=6))
    assert bench.current == old
    assert bench.session.is_open
    disk_is_full(False)
    bench.settle()
    assert bench.current != old
    assert len(bench.registrar.requests) == 2


def test_a_disk_that_fills_up_before_a_proof_is_committed_loses_neither_certificate(
    bench: Any, disk_is_full: Callable[[bool], None]
) -> None:
    old = bench.bring_up()
    bench.send()
    bench.agent.step()
    candidate = bench.store.candidate
    disk_is_full(True)
    bench.run_for(timedelta(hours=6))
    kept = Glimpse.of(bench.directory)
    assert (kept.current.leaf, kept.candidate.leaf) == (old.leaf, candidate.leaf)
    disk_is_full(False)
    bench.settle()
    assert bench.current == candidate


def test_a_disk_that_cannot_be_written_at_all_is_told_at_the_start(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "mkdir", read_only)
    with pytest.raises(DiskFault, match="Read-only"):
        DeviceStore(bench.directory.with_name("other"))


def public_key(request: bytes) -> bytes:
    key = x509.load_der_x509_csr(request).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
