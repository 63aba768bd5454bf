"""Renewal by a request to the hub: every error code that is known of it, and DPS where the hub will not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcert.device.errors import IssuanceError, RegistrationRefused
from fleetcert.device.events import Happened
from fleetcert.device.issuance import AskAfresh, Replace, TurnToDps, Wait, next_step
from fleetcert.device.options import AgentOptions
from fleetcert.device.ports import Way
from fleetcert.device.states import State
from shared.errors import InfrastructureFault

FINAL = (400001, 400004, 400006, 400037, 400040, 403010, 404001)
"""The request, the device or the feature is at fault: the hub will never do it."""
PASSING = {429002: 1, 429003: 1, 500001: 300, 503001: 5, 503102: 5, 409005: 5}
"""Code -> seconds to wait."""


@pytest.fixture
def bench_by_hub(bench: Any) -> Any:
    """A connected device that renews by its hub."""
    bench.restart(AgentOptions(renew_by=Way.IOTHUB))
    bench.bring_up()
    return bench


def fail(bench: Any, *failures: IssuanceError | Exception) -> None:
    bench.hub.issuance_failures.extend(failures)
    bench.send()
    bench.agent.step()


def test_the_hub_issues_while_the_old_certificate_is_connected_and_dps_is_not_asked(bench_by_hub: Any) -> None:
    old = bench_by_hub.current
    fail(bench_by_hub)
    bench_by_hub.settle()
    assert bench_by_hub.current != old
    assert len(bench_by_hub.hub.issuances) == 1
    assert bench_by_hub.hub.issuances[0].replace is None
    assert len(bench_by_hub.registrar.requests) == 1
    assert bench_by_hub.answer == {"commandId": "c-1", "outcome": "renewed"}


def test_three_renewals_in_a_row_use_three_keys_and_three_request_ids(bench_by_hub: Any) -> None:
    keys = {bench_by_hub.key_files()[0].name}
    for number in range(3):
        bench_by_hub.send(command_id=f"c-{number}")
        bench_by_hub.settle()
        keys.add(bench_by_hub.key_files()[0].name)
    assert len(keys) == 4
    assert len({request.request_id for request in bench_by_hub.hub.issuances}) == 3


@pytest.mark.parametrize("code", FINAL)
def test_a_final_error_turns_the_device_to_dps_at_once(bench_by_hub: Any, code: int) -> None:
    old = bench_by_hub.current
    fail(bench_by_hub, IssuanceError(code, "no"))
    assert bench_by_hub.agent.state is State.PROVING
    bench_by_hub.settle()
    assert bench_by_hub.current != old
    assert (len(bench_by_hub.hub.issuances), len(bench_by_hub.registrar.requests)) == (1, 2)
    assert str(code) in bench_by_hub.happened(Happened.TURNED_TO_DPS)[0].detail["reason"]


@pytest.mark.parametrize(("code", "seconds"), PASSING.items())
def test_a_passing_error_is_waited_out_and_the_same_key_is_asked_for_again(
    bench_by_hub: Any, code: int, seconds: int
) -> None:
    fail(bench_by_hub, IssuanceError(code, "later"))
    assert bench_by_hub.agent.state is State.RENEWING
    assert bench_by_hub.session.is_open
    bench_by_hub.run_for(timedelta(seconds=seconds - 0.01))
    assert len(bench_by_hub.hub.issuances) == 1
    bench_by_hub.settle()
    assert len(bench_by_hub.hub.issuances) == 2
    assert len(bench_by_hub.registrar.requests) == 1


def test_the_hubs_own_retry_after_counts(bench_by_hub: Any) -> None:
    fail(bench_by_hub, IssuanceError(429002, "later", timedelta(minutes=7)))
    bench_by_hub.run_for(timedelta(minutes=6.9))
    assert len(bench_by_hub.hub.issuances) == 1


def test_a_hub_that_puts_it_off_three_times_loses_the_device_to_dps(bench_by_hub: Any) -> None:
    fail(bench_by_hub, *[IssuanceError(503001, "later")] * 3)
    bench_by_hub.settle()
    assert (len(bench_by_hub.hub.issuances), len(bench_by_hub.registrar.requests)) == (3, 2)


def test_a_hub_that_put_a_renewal_off_is_asked_again_for_the_next_one(bench_by_hub: Any) -> None:
    fail(bench_by_hub, *[IssuanceError(503001, "later")] * 3)
    bench_by_hub.settle()
    bench_by_hub.send(command_id="c-2")
    bench_by_hub.hub.issuance_failures.append(IssuanceError(503001, "later"))
    bench_by_hub.settle()
    assert (len(bench_by_hub.hub.issuances), len(bench_by_hub.registrar.requests)) == (5, 2)


@pytest.mark.parametrize(
    "silence", [InfrastructureFault("IoT Hub", "no answer"), InfrastructureFault("IoT Hub", "SUBSCRIBE was refused")]
)
def test_a_hub_that_does_not_know_the_request_loses_the_device_to_dps(bench_by_hub: Any, silence: Exception) -> None:
    fail(bench_by_hub, *[silence] * 3)
    bench_by_hub.settle()
    assert len(bench_by_hub.registrar.requests) == 2


def test_a_request_that_is_pending_is_replaced_under_a_new_id(bench_by_hub: Any) -> None:
    fail(bench_by_hub, IssuanceError(409004, "pending", info={"requestId": "older-request"}))
    first, second = bench_by_hub.hub.issuances
    assert second.replace == "older-request"
    assert first.csr != second.csr or first.request_id != second.request_id
    assert first.request_id != second.request_id
    bench_by_hub.settle()
    assert len(bench_by_hub.registrar.requests) == 1


def test_a_pending_request_of_an_unknown_id_is_replaced_whatever_it_is(bench_by_hub: Any) -> None:
    fail(bench_by_hub, IssuanceError(409004, "pending"))
    assert bench_by_hub.hub.issuances[1].replace == "*"


@pytest.mark.parametrize("code", [412001, 412005])
def test_where_there_is_nothing_to_replace_any_more_the_request_is_made_afresh(bench_by_hub: Any, code: int) -> None:
    fail(bench_by_hub, IssuanceError(409004, "pending", info={"requestId": "gone"}), IssuanceError(code, "gone"))
    assert [request.replace for request in bench_by_hub.hub.issuances] == [None, "gone", None]
    bench_by_hub.settle()
    assert len(bench_by_hub.registrar.requests) == 1


def test_a_hub_that_contradicts_itself_loses_the_device_to_dps(bench_by_hub: Any) -> None:
    fail(bench_by_hub, *[IssuanceError(409004, "pending"), IssuanceError(412001, "nothing there")] * 5)
    assert len(bench_by_hub.hub.issuances) == 3
    assert bench_by_hub.agent.state is State.PROVING


def test_the_request_id_is_on_the_disk_before_the_request_is_sent(bench_by_hub: Any) -> None:
    fail(bench_by_hub, IssuanceError(500001, "later"))
    sent = bench_by_hub.hub.issuances[0].request_id
    bench_by_hub.restart()
    assert bench_by_hub.store.attempt.request_id == sent
    bench_by_hub.settle()
    assert bench_by_hub.hub.issuances[1].request_id == sent


def test_a_device_that_turned_to_dps_stays_with_it_over_a_power_loss(bench_by_hub: Any) -> None:
    bench_by_hub.registrar.failures.append(InfrastructureFault("DPS", "HTTP 503"))
    fail(bench_by_hub, IssuanceError(403010, "no"))
    bench_by_hub.restart()
    bench_by_hub.settle()
    assert (len(bench_by_hub.hub.issuances), len(bench_by_hub.registrar.requests)) == (1, 3)


def test_where_hub_and_dps_both_refuse_the_command_is_answered_and_the_old_certificate_stays(bench_by_hub: Any) -> None:
    old = bench_by_hub.current
    bench_by_hub.registrar.failures.append(RegistrationRefused(401002, "Unauthorized"))
    fail(bench_by_hub, IssuanceError(403010, "no"))
    assert bench_by_hub.current == old
    assert bench_by_hub.answer == {"commandId": "c-1", "outcome": "failed", "reason": "Unauthorized"}


def test_an_expired_device_does_not_ask_the_hub_that_it_cannot_reach(bench_by_hub: Any) -> None:
    fail(bench_by_hub, IssuanceError(500001, "later"))
    bench_by_hub.time.true = bench_by_hub.current.not_after
    bench_by_hub.session.on_lost()
    bench_by_hub.settle()
    assert len(bench_by_hub.hub.issuances) == 1
    assert len(bench_by_hub.registrar.requests) == 2


@given(st.integers(100_000, 999_999), st.none() | st.timedeltas(timedelta(seconds=1), timedelta(hours=1)))
def test_every_code_has_a_next_step_and_none_waits_for_nothing(code: int, retry_after: timedelta | None) -> None:
    match next_step(IssuanceError(code, retry_after=retry_after)):
        case Wait(pause):
            assert pause >= timedelta(seconds=1)
        case Replace(request_id):
            assert (code, request_id) == (409004, "*")
        case AskAfresh():
            assert code in {412001, 412005}
        case TurnToDps():
            assert code // 100_000 != 5
            assert code // 1000 != 429
