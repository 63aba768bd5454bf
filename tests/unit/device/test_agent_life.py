"""From the factory to the hub, renewal by command and by itself, and back after expiry."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from fleetcert.device.errors import ConnectionRefused, RegistrationRefused, ReportRefused
from fleetcert.device.events import Happened, State
from fleetcert.device.options import AgentOptions
from shared.contracts import format_instant
from shared.errors import InfrastructureFault

SECOND = timedelta(seconds=1)


def renew_by_command(bench: Any, **changes: Any) -> None:
    bench.send(**changes)
    bench.agent.step()


def test_a_new_device_registers_proves_its_certificate_and_reports_both_credentials_in_one_patch(bench: Any) -> None:
    current = bench.bring_up()
    assert bench.happened() == [Happened.REGISTERED, Happened.CONNECTED, Happened.REPORTED]
    assert len(bench.hub.twin) == 1
    certificate, onboarding = bench.hub.twin[0]["certificate"], bench.hub.twin[0]["onboarding"]
    assert certificate["thumbprint"] == current.credential.thumbprint
    assert certificate["validUntil"] == format_instant(current.credential.not_after)
    assert certificate["pem"].startswith("-----BEGIN CERTIFICATE-----")
    assert set(onboarding) == {"thumbprint", "validUntil", "pem"}
    assert None not in onboarding.values()


def test_neither_the_request_nor_the_report_carries_a_private_key(bench: Any) -> None:
    bench.bring_up()
    assert b"PRIVATE" not in bench.registrar.requests[0]
    assert "PRIVATE" not in str(bench.hub.twin)
    assert "key" not in repr(bench.current.credential)


def test_a_command_is_obeyed_with_a_new_key(bench: Any) -> None:
    old = bench.bring_up()
    renew_by_command(bench)
    bench.settle()
    assert bench.current.credential.key.public_key() != old.credential.key.public_key()
    assert bench.hub.twin[-1]["certificate"]["thumbprint"] == bench.current.credential.thumbprint
    assert bench.happened(Happened.RENEWED)[0].detail["replaced"] == old.credential.thumbprint


def test_a_command_is_obeyed_once_however_often_it_comes(bench: Any) -> None:
    bench.bring_up()
    body = bench.command().to_json()
    for _ in range(3):
        bench.session.on_command(body)
    bench.settle()
    bench.restart()
    bench.bring_up()
    bench.session.on_command(body)
    bench.agent.step()
    assert len(bench.registrar.requests) == 2
    assert len(bench.happened(Happened.COMMAND)) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"device_id": "dev-2"}, "AnotherDevice"),
        ({"thumbprint": "ab" * 32}, "AnotherCertificate"),
    ],
)
def test_a_command_that_is_not_for_this_certificate_is_answered_with_the_reason(
    bench: Any, changes: dict[str, str], reason: str
) -> None:
    bench.bring_up()
    renew_by_command(bench, **changes)
    assert bench.hub.twin[-1] == {"renewal": {"commandId": "c-1", "outcome": "refused", "reason": reason}}
    assert len(bench.registrar.requests) == 1


def test_a_command_without_a_thumbprint_is_for_the_certificate_with_its_expiry(bench: Any) -> None:
    bench.bring_up()
    renew_by_command(bench, thumbprint=None, valid_until=bench.current.credential.not_after - SECOND)
    assert len(bench.registrar.requests) == 1
    renew_by_command(bench, thumbprint=None, command_id="c-2")
    assert len(bench.registrar.requests) == 2


def test_a_message_that_is_no_command_is_passed_over(bench: Any) -> None:
    bench.bring_up()
    bench.session.on_command(b"lights on")
    bench.session.on_command(b'{"schema":"fleetcert.renew/1","command":"renewCertificate"}')
    bench.agent.step()
    assert len(bench.happened(Happened.COMMAND_IGNORED)) == 2
    assert bench.agent.state is State.OPERATIONAL


def test_the_old_certificate_stays_connected_while_the_new_one_is_asked_for(bench: Any) -> None:
    old = bench.bring_up()
    seen = []
    bench.registrar.before_answer = lambda: seen.append((bench.agent.state, bench.hub.sessions[0].is_open))
    renew_by_command(bench)
    assert seen == [(State.RENEWING, True)]
    assert bench.current == old
    assert bench.keystore.candidate is not None


def test_a_new_certificate_that_the_hub_refuses_is_rolled_back_to_the_old_one(bench: Any) -> None:
    old = bench.bring_up()
    bench.hub.refuses = lambda operational: operational.credential != old.credential
    renew_by_command(bench)
    bench.settle()
    assert bench.agent.state is State.OPERATIONAL
    assert bench.current == old
    assert bench.session.operational == old
    assert bench.hub.twin[-1]["renewal"] == {"commandId": "c-1", "outcome": "failed", "reason": "not authorized"}
    assert [path.stem for path in bench.directory.glob("*.pem")] == [old.credential.thumbprint]


def test_a_new_certificate_that_never_reaches_its_hub_is_rolled_back_after_three_attempts(bench: Any) -> None:
    old = bench.bring_up()
    renew_by_command(bench)
    bench.hub.failures.extend([InfrastructureFault("IoT Hub", "unreachable")] * 3)
    bench.settle()
    assert bench.happened().count(Happened.ROLLED_BACK) == 1
    assert bench.session.operational == old


def test_a_renewal_that_dps_refuses_leaves_the_session_alone_and_is_answered(bench: Any) -> None:
    old = bench.bring_up()
    bench.registrar.failures.append(RegistrationRefused(401002, "Unauthorized"))
    renew_by_command(bench)
    bench.agent.step()
    assert bench.session.is_open
    assert bench.current == old
    assert bench.hub.twin[-1]["renewal"] == {"commandId": "c-1", "outcome": "failed", "reason": "Unauthorized"}


def test_a_command_that_was_answered_as_failed_is_not_tried_again(bench: Any) -> None:
    bench.bring_up()
    bench.registrar.failures.append(RegistrationRefused(401002, "Unauthorized"))
    renew_by_command(bench)
    bench.clock.time += timedelta(hours=1)
    bench.settle()
    assert len(bench.registrar.requests) == 2


def test_a_renewal_that_dps_cannot_serve_now_is_tried_again_for_the_same_command(bench: Any) -> None:
    old = bench.bring_up()
    bench.registrar.failures.append(InfrastructureFault("DPS", "HTTP 500"))
    renew_by_command(bench)
    assert bench.agent.state is State.OPERATIONAL
    bench.settle()
    assert bench.current.credential != old.credential


def test_without_a_command_the_device_renews_between_80_and_85_percent_of_the_life(bench: Any) -> None:
    old = bench.bring_up()
    lifetime = old.credential.not_after - old.credential.not_before
    bench.clock.time = old.credential.not_before + lifetime * 0.8 - SECOND
    wake_at = bench.agent.step()
    assert len(bench.registrar.requests) == 1
    assert old.credential.not_before + lifetime * 0.8 <= wake_at
    assert wake_at <= old.credential.not_before + lifetime * 0.85
    bench.clock.time = wake_at
    bench.agent.step()
    assert len(bench.registrar.requests) == 2


def test_a_device_without_self_renewal_waits_for_its_expiry(bench: Any) -> None:
    bench.restart(AgentOptions(self_renewal=None))
    current = bench.bring_up()
    assert bench.agent.step() == current.credential.not_after
    bench.clock.time = current.credential.not_after - SECOND
    bench.agent.step()
    assert len(bench.registrar.requests) == 1


@pytest.mark.parametrize("asleep", [False, True])
def test_an_expired_device_goes_back_to_dps_by_itself(bench: Any, asleep: bool) -> None:
    old = bench.bring_up()
    bench.clock.time = old.credential.not_after
    if asleep:
        bench.restart()
    bench.settle()
    assert bench.current.credential.not_after > old.credential.not_after
    assert bench.hub.attempts.count(old.credential.thumbprint) == 1


def test_a_twin_that_refuses_a_report_is_not_asked_again(bench: Any) -> None:
    bench.hub.report_failures.append(ReportRefused(400))
    bench.bring_up()
    assert bench.happened()[-1] is Happened.REPORT_REFUSED
    bench.agent.step()
    assert bench.hub.twin == []


def test_a_report_that_got_no_answer_is_sent_again(bench: Any) -> None:
    bench.hub.report_failures.append(InfrastructureFault("IoT Hub", "no answer"))
    bench.settle()
    assert len(bench.hub.twin) == 1


def test_a_restart_reports_nothing_that_the_twin_knows(bench: Any) -> None:
    bench.bring_up()
    bench.restart()
    bench.bring_up()
    assert len(bench.hub.twin) == 1
    assert len(bench.registrar.requests) == 1


def test_an_issued_certificate_of_another_key_is_never_stored(bench: Any) -> None:
    honest: Callable[..., Any] = bench.registrar.register
    first = {}
    bench.registrar.register = lambda name, request: honest(name, first.setdefault("request", request))
    bench.bring_up()
    renew_by_command(bench)
    assert bench.keystore.candidate is None
    assert "another key" in bench.happened(Happened.RENEWAL_FAILED)[0].detail["reason"]


def test_a_refused_first_certificate_means_starting_over_at_dps(bench: Any) -> None:
    bench.hub.failures.append(ConnectionRefused(5, "not authorized"))
    bench.settle()
    assert len(bench.registrar.requests) == 2
    assert bench.agent.state is State.OPERATIONAL
