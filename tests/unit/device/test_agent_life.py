"""From the factory to the hub, renewal by command and by itself, and back after expiry."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from fleetcert.device.errors import ConnectionRefused, RegistrationRefused, ReportRefused
from fleetcert.device.events import Happened
from fleetcert.device.messages import Message
from fleetcert.device.options import AgentOptions
from fleetcert.device.ports import Way
from fleetcert.device.states import Link, State
from shared.contracts import format_instant
from shared.errors import InfrastructureFault, Throttled

SECOND = timedelta(seconds=1)


def renew_by_command(bench: Any, **changes: Any) -> None:
    bench.send(**changes)
    bench.agent.step()


def test_a_new_device_registers_proves_its_certificate_and_reports_both_credentials_in_one_patch(bench: Any) -> None:
    current = bench.bring_up()
    assert bench.happened() == [Happened.REGISTERED, Happened.CONNECTED, Happened.REPORTED]
    assert len(bench.hub.patches) == 1
    certificate, onboarding = bench.hub.patches[0]["certificate"], bench.hub.patches[0]["onboarding"]
    assert certificate["thumbprint"] == current.thumbprint
    assert certificate["validUntil"] == format_instant(current.not_after)
    assert certificate["pem"].startswith("-----BEGIN CERTIFICATE-----")
    assert set(onboarding) == {"thumbprint", "validUntil", "pem"}
    assert None not in onboarding.values()


def test_neither_the_request_nor_the_report_carries_a_private_key(bench: Any) -> None:
    bench.bring_up()
    key = bench.key_files()[0].read_bytes()
    secret = b"".join(key.splitlines()[1:-1])
    assert b"PRIVATE" not in bench.registrar.requests[0]
    assert secret.decode() not in str(bench.hub.patches)
    assert "present" not in repr(bench.current)


def test_a_command_is_obeyed_with_a_new_key_and_answered(bench: Any) -> None:
    old, files = bench.bring_up(), bench.key_files()
    renew_by_command(bench)
    bench.settle()
    assert bench.current.leaf.public_key() != old.leaf.public_key()
    assert bench.hub.twin["certificate"]["thumbprint"] == bench.current.thumbprint
    assert bench.happened(Happened.RENEWED)[0].detail["replaced"] == old.thumbprint
    assert bench.answer == {"commandId": "c-1", "outcome": "renewed"}
    assert len(bench.key_files()) == 1
    assert bench.key_files() != files


def test_a_command_is_obeyed_once_however_often_it_comes(bench: Any) -> None:
    bench.bring_up()
    body = bench.command().to_json()
    for _ in range(3):
        bench.say(body)
    bench.settle()
    bench.restart()
    bench.bring_up()
    bench.say(body)
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
    assert bench.hub.patches[-1] == {"renewal": {"commandId": "c-1", "outcome": "refused", "reason": reason}}
    assert len(bench.registrar.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"schema":"fleetcert.renew/2","command":"renewCertificate","commandId":"c-9"}',
        b'{"schema":"fleetcert.renew/1","command":"renewCertificate","commandId":"c-9"}',
        b'{"schema":"fleetcert.renew/1","command":"selfDestruct","commandId":"c-9"}',
    ],
)
def test_a_command_of_ours_that_is_not_understood_is_refused_and_not_passed_over(bench: Any, body: bytes) -> None:
    bench.bring_up()
    for _ in range(2):
        bench.say(body)
        bench.agent.step()
    assert bench.answer == {"commandId": "c-9", "outcome": "refused", "reason": "NotUnderstood"}
    assert len(bench.happened(Happened.COMMAND_REFUSED)) == 1
    assert bench.foreign == []


@pytest.mark.parametrize(
    "body",
    [
        b"lights on",
        b"\xff\xfe",
        b"[]",
        b'{"schema":"fleetcert.renew/1","command":"renewCertificate"}',
        b'{"schema":"fleetcert.renew/1","commandId":"' + b"x" * 200 + b'"}',
        b"[" * 60_000,
    ],
    ids=["text", "no text", "no object", "no id", "an endless id", "too deep"],
)
def test_a_message_that_is_no_command_goes_to_the_application_and_the_session_goes_on(bench: Any, body: bytes) -> None:
    bench.bring_up()
    bench.say(body)
    bench.agent.step()
    assert bench.foreign == [Message(body)]
    assert bench.agent.state is State.OPERATIONAL
    assert bench.session.is_open


def test_an_application_that_fails_over_a_message_does_not_end_the_agent(bench: Any) -> None:
    def fail(_message: Message) -> None:
        raise ZeroDivisionError

    bench.adapt = lambda world: type(world)(**{**_members(world), "on_message": fail})
    bench.restart()
    bench.bring_up()
    bench.say(b"divide")
    bench.say(bench.command().to_json())
    bench.agent.step()
    assert len(bench.registrar.requests) == 2


def test_an_observer_that_fails_does_not_end_the_agent(bench: Any) -> None:
    def fail(_event: Any) -> None:
        raise BrokenPipeError

    bench.adapt = lambda world: type(world)(**{**_members(world), "observe": fail})
    bench.restart()
    bench.bring_up()
    assert bench.session.is_open


def test_an_application_sends_over_the_agents_connection(bench: Any) -> None:
    with pytest.raises(InfrastructureFault, match="not connected"):
        bench.agent.send(Message(b"20.5"))
    bench.bring_up()
    bench.agent.send(Message(b"20.5", {"unit": "C"}))
    assert bench.hub.telemetry == [Message(b"20.5", {"unit": "C"})]


def test_a_command_without_a_thumbprint_is_for_the_certificate_with_its_expiry(bench: Any) -> None:
    bench.bring_up()
    renew_by_command(bench, thumbprint=None, valid_until=bench.current.not_after - SECOND)
    assert len(bench.registrar.requests) == 1
    renew_by_command(bench, thumbprint=None, command_id="c-2")
    assert len(bench.registrar.requests) == 2


def test_the_old_certificate_stays_connected_while_the_new_one_is_asked_for(bench: Any) -> None:
    old = bench.bring_up()
    seen = []
    bench.registrar.before_answer = lambda: seen.append((bench.agent.state, bench.hub.sessions[0].is_open))
    renew_by_command(bench)
    assert seen == [(State.RENEWING, True)]
    assert bench.agent.state is State.PROVING
    assert bench.current == old
    assert bench.store.candidate is not None


def test_a_new_certificate_that_the_hub_refuses_is_rolled_back_to_the_old_one(bench: Any) -> None:
    old = bench.bring_up()
    bench.hub.refuses = lambda operational: operational != old
    renew_by_command(bench)
    bench.step()
    assert (bench.agent.state, bench.agent.link) == (State.ROLLED_BACK, Link.ONLINE)
    bench.settle()
    assert bench.current == bench.session.operational == old
    assert bench.answer == {"commandId": "c-1", "outcome": "failed", "reason": "not authorized"}
    assert len(bench.key_files()) == 1


def test_a_new_certificate_that_does_not_reach_its_hub_is_rolled_back_where_the_old_one_reaches_it(bench: Any) -> None:
    old = bench.bring_up()
    bench.registrar.hub = "elsewhere.example"
    bench.hub.unreachable.add("elsewhere.example")
    renew_by_command(bench)
    bench.settle()
    assert bench.happened().count(Happened.ROLLED_BACK) == 1
    assert [hub for hub, _ in bench.hub.attempts].count("elsewhere.example") == 3
    assert bench.session.operational == old


def test_a_new_certificate_waits_for_a_network_that_is_gone_and_is_not_thrown_away(bench: Any) -> None:
    old = bench.bring_up()
    renew_by_command(bench)
    candidate = bench.store.candidate
    bench.hub.unreachable.add("hub.example")
    bench.registrar.failures.extend([InfrastructureFault("DPS", "no route")] * 99)
    bench.run_for(timedelta(hours=9))
    assert bench.store.candidate == candidate
    assert bench.current == old
    bench.hub.unreachable.clear()
    bench.settle()
    assert bench.current == candidate


def test_a_renewal_that_dps_refuses_leaves_the_session_alone_and_is_answered(bench: Any) -> None:
    old = bench.bring_up()
    bench.registrar.failures.append(RegistrationRefused(401002, "Unauthorized"))
    renew_by_command(bench)
    assert bench.session.is_open
    assert bench.agent.state is State.OPERATIONAL
    assert bench.current == old
    assert bench.answer == {"commandId": "c-1", "outcome": "failed", "reason": "Unauthorized"}


def test_a_command_that_was_answered_as_failed_is_not_tried_again(bench: Any) -> None:
    bench.bring_up()
    bench.registrar.failures.append(RegistrationRefused(401002, "Unauthorized"))
    renew_by_command(bench)
    bench.run_for(timedelta(hours=1))
    assert len(bench.registrar.requests) == 2


def test_a_renewal_that_dps_cannot_serve_now_is_tried_again_with_the_same_key(bench: Any) -> None:
    old = bench.bring_up()
    bench.registrar.failures.append(InfrastructureFault("DPS", "HTTP 500"))
    renew_by_command(bench)
    assert bench.agent.state is State.RENEWING
    assert bench.session.is_open
    bench.settle()
    assert bench.current != old
    assert bench.registrar.requests[1] != bench.registrar.requests[2]
    assert len(bench.key_files()) == 1


def test_a_throttled_renewal_waits_as_long_as_it_is_told_and_hears_commands_meanwhile(bench: Any) -> None:
    bench.bring_up()
    bench.registrar.failures.append(Throttled("DPS", timedelta(minutes=10)))
    renew_by_command(bench)
    bench.run_for(timedelta(minutes=9))
    renew_by_command(bench, command_id="c-2", device_id="dev-2")
    assert len(bench.registrar.requests) == 2
    assert bench.answer["reason"] == "AnotherDevice"
    bench.run_for(timedelta(minutes=2))
    assert len(bench.registrar.requests) == 3


def test_without_a_command_the_device_renews_between_80_and_85_percent_of_the_life(bench: Any) -> None:
    old = bench.bring_up()
    lifetime = old.not_after - old.not_before
    bench.time.true = old.not_before + lifetime * 0.8 - SECOND
    rest = bench.agent.step()
    assert len(bench.registrar.requests) == 1
    assert lifetime * 0.8 <= lifetime * 0.8 - SECOND + rest <= lifetime * 0.85
    bench.time.pass_by(rest)
    bench.agent.step()
    assert len(bench.registrar.requests) == 2


def test_a_device_without_self_renewal_waits_for_its_expiry(bench: Any) -> None:
    bench.restart(AgentOptions(self_renewal=None))
    current = bench.bring_up()
    assert bench.time.true + bench.agent.step() == current.not_after
    bench.time.true = current.not_after - SECOND
    bench.agent.step()
    assert len(bench.registrar.requests) == 1


@pytest.mark.parametrize("asleep", [False, True])
def test_an_expired_device_goes_back_to_dps_by_itself(bench: Any, asleep: bool) -> None:
    old = bench.bring_up()
    bench.time.true = old.not_after
    bench.session.on_lost()
    if asleep:
        bench.restart()
    bench.settle()
    assert bench.current.not_after > old.not_after
    assert bench.happened().count(Happened.EXPIRED) == 1
    # Before the end: once. After it: once more, for it is the hub that says whether a certificate has ended.
    assert [thumbprint for _, thumbprint in bench.hub.attempts].count(old.thumbprint) == 2


def test_a_hub_that_breaks_the_handshake_over_an_expired_certificate_does_not_keep_the_device_out(bench: Any) -> None:
    old = bench.bring_up()
    bench.time.true = old.not_after
    bench.session.on_lost()
    bench.hub.failures.append(InfrastructureFault("IoT Hub", "tlsv1 alert certificate expired"))
    bench.settle()
    assert bench.current.not_after > old.not_after
    assert [thumbprint for _, thumbprint in bench.hub.attempts].count(old.thumbprint) == 2


def test_an_expired_certificate_is_used_for_as_long_as_the_hub_lets_it(bench: Any) -> None:
    bench.restart(AgentOptions(self_renewal=None))
    old = bench.bring_up()
    bench.time.true = old.not_after + timedelta(days=1)
    bench.agent.step()
    assert bench.session.is_open
    assert bench.happened().count(Happened.EXPIRED) == 1


def test_a_twin_that_refuses_a_report_is_asked_again_with_the_next_connection_only(bench: Any) -> None:
    bench.hub.report_failures.append(ReportRefused(400))
    bench.bring_up()
    assert bench.happened()[-1] is Happened.REPORT_REFUSED
    bench.agent.step()
    assert bench.hub.patches == []
    bench.session.on_lost()
    bench.settle()
    assert len(bench.hub.patches) == 1


def test_a_report_that_got_no_answer_is_sent_again(bench: Any) -> None:
    bench.hub.report_failures.append(InfrastructureFault("IoT Hub", "no answer"))
    bench.settle()
    assert len(bench.hub.patches) == 1


def test_until_the_twin_is_told_the_new_certificate_is_committed_and_not_operational(bench: Any) -> None:
    bench.hub.report_failures.append(InfrastructureFault("IoT Hub", "no answer"))
    for _ in range(3):
        bench.step()
    assert bench.agent.state is State.COMMITTED
    bench.restart()
    assert bench.agent.state is State.COMMITTED
    bench.settle()
    assert bench.agent.state is State.OPERATIONAL


def test_a_restart_reports_nothing_that_the_twin_knows(bench: Any) -> None:
    bench.bring_up()
    bench.restart()
    bench.bring_up()
    assert len(bench.hub.patches) == 1
    assert len(bench.registrar.requests) == 1
    assert bench.hub.twin_reads == 2


def test_a_twin_that_lost_what_it_was_told_is_told_again(bench: Any) -> None:
    bench.bring_up()
    bench.hub.twin = {}  # the identity was deleted and made anew
    bench.session.on_lost()
    bench.settle()
    assert bench.hub.twin["certificate"]["thumbprint"] == bench.current.thumbprint


def test_an_answer_that_was_not_told_before_a_power_loss_is_told_after_it(bench: Any) -> None:
    bench.bring_up()
    bench.hub.report_failures.append(InfrastructureFault("IoT Hub", "no answer"))
    renew_by_command(bench, device_id="dev-2")
    assert "renewal" not in bench.hub.twin
    bench.restart()
    bench.settle()
    assert bench.answer == {"commandId": "c-1", "outcome": "refused", "reason": "AnotherDevice"}
    assert bench.store.answers == ()


def test_an_issued_certificate_of_another_key_is_never_stored(bench: Any) -> None:
    honest: Callable[..., Any] = bench.registrar.register
    first = {}
    bench.registrar.register = lambda name, request: honest(name, first.setdefault("request", request))
    bench.bring_up()
    renew_by_command(bench)
    assert bench.store.candidate is None
    assert "another key" in bench.happened(Happened.RENEWAL_FAILED)[0].detail["reason"]


def test_a_first_certificate_that_is_refused_once_is_tried_again_and_not_asked_for_again(bench: Any) -> None:
    bench.hub.failures.append(ConnectionRefused(5, "not authorized"))
    bench.settle()
    assert len(bench.registrar.requests) == 1
    assert bench.happened(Happened.BLOCKED)


def test_the_command_says_by_which_way_and_the_setting_where_it_does_not(bench: Any) -> None:
    bench.restart(AgentOptions(renew_by=Way.IOTHUB))
    bench.bring_up()
    renew_by_command(bench, via="dps")
    bench.settle()
    assert (len(bench.hub.issuances), len(bench.registrar.requests)) == (0, 2)
    renew_by_command(bench, command_id="c-2")
    bench.settle()
    assert (len(bench.hub.issuances), len(bench.registrar.requests)) == (1, 2)


@pytest.mark.parametrize("via", ["carrier pigeon", ["dps"], 7])
def test_a_way_that_is_not_known_is_no_reason_to_let_a_certificate_expire(bench: Any, via: Any) -> None:
    old = bench.bring_up()
    renew_by_command(bench, via=via)
    bench.settle()
    assert bench.current != old


def _members(world: Any) -> dict[str, Any]:
    return {name: getattr(world, name) for name in world.__dataclass_fields__}
