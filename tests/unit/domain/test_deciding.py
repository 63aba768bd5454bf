from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fakes import NOON

from shared.contracts import AlertType
from shared.domain import reasons
from shared.domain.applying import apply, command_sent, confirmed, postponed, renewal_requested
from shared.domain.containing import Plan, Step, contained, next_step, requested
from shared.domain.deciding import Action, Decision, decide
from shared.domain.policy import RenewalPolicy
from shared.domain.record import Actor, Before, BlockState, Certificate, DeviceRecord, Evidence, State
from shared.domain.verifying import looked

DAY = timedelta(days=1)
POLICY = RenewalPolicy()


def record(lifetime: timedelta = 30 * DAY, **changes: object) -> DeviceRecord:
    certificate = Certificate(
        identity="aa", valid_from=NOON, valid_until=NOON + lifetime, evidence=Evidence.PARSED, first_seen=NOON
    )
    base = DeviceRecord(
        device_id="dev-1",
        registration_id="dev-1",
        hub="hub-1",
        first_seen=NOON,
        updated_at=NOON,
        state=State.VALID,
        certificate=certificate,
        next_deadline=POLICY.due_at(certificate, "dev-1"),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def left(record: DeviceRecord) -> DeviceRecord:
    """The record once all of its outbox has left."""
    return confirmed(record, record, [alert.id for alert in record.pending], True)


def due(held: DeviceRecord) -> datetime:
    assert held.certificate is not None
    return POLICY.due_at(held.certificate, held.device_id)


def test_a_certificate_far_from_its_end_waits_for_its_window() -> None:
    decision = decide(record(), NOON + DAY, POLICY)
    assert (decision.state, decision.action, decision.next_deadline) == (State.VALID, None, due(record()))


def test_a_certificate_in_its_window_is_commanded() -> None:
    now = due(record())
    decision = decide(record(), now, POLICY)
    assert (decision.state, decision.action) == (State.DISPATCHING, Action.SEND_COMMAND)
    assert decision.command is not None
    assert decision.command.expires_at == now + timedelta(hours=1)
    assert decision.next_deadline == decision.command.patience_until


def test_the_same_attempt_has_the_same_id_and_the_next_another() -> None:
    now = due(record())
    first, again = decide(record(), now, POLICY), decide(record(), now + DAY / 100, POLICY)
    second = decide(record(attempts=1), now, POLICY)
    assert first.command is not None
    assert again.command is not None
    assert second.command is not None
    assert first.command.id == again.command.id != second.command.id


def commanded(now: datetime) -> DeviceRecord:
    sent = apply(record(), decide(record(), now, POLICY), now).record
    return command_sent(left(sent), now).record


def test_a_command_in_flight_gets_its_time() -> None:
    now = due(record())
    decision = decide(commanded(now), now + timedelta(minutes=59), POLICY)
    assert (decision.state, decision.action) == (State.COMMANDED, None)


def test_silence_leads_to_the_next_attempt_later_each_time() -> None:
    now = due(record())
    held, gaps = commanded(now), []
    for _ in range(4):
        assert held.next_deadline is not None
        gaps.append(held.next_deadline - now)
        now = held.next_deadline
        sent = apply(held, decide(held, now, POLICY), now).record
        held = command_sent(left(sent), now).record
    assert [gap / timedelta(hours=1) for gap in gaps] == [1, 2, 4, 8]
    assert held.attempts == 5


def test_half_way_through_the_window_operators_are_warned_once() -> None:
    held = commanded(due(record()))
    now = NOON + 30 * DAY - timedelta(days=3.5)
    decision = decide(held, now, POLICY)
    assert [a.type for a in decision.alerts] == [AlertType.CERTIFICATE_RENEWAL_OVERDUE]
    assert decision.alerts[0].data["level"] == "warning"
    told = apply(held, decision, now).record
    assert told.state is State.OVERDUE
    assert decide(told, now + timedelta(hours=1), POLICY).alerts == ()


def test_whoever_missed_levels_hears_the_highest_alone() -> None:
    decision = decide(record(), NOON + 31 * DAY, POLICY)
    assert [a.type for a in decision.alerts] == [AlertType.CERTIFICATE_EXPIRED]
    assert decision.alerted == ("due", "warning", "critical", "expired")


def test_an_expired_device_is_not_asked_to_renew() -> None:
    decision = decide(record(), NOON + 30 * DAY, POLICY)
    assert (decision.state, decision.action) == (State.EXPIRED, None)


def test_an_operators_request_goes_before_the_window() -> None:
    asked = renewal_requested(record(), Actor(name="ann"), "key ceremony", NOON + DAY).record
    decision = decide(asked, NOON + DAY, POLICY)
    assert decision.action is Action.SEND_COMMAND
    assert decision.command is not None
    assert decision.command.reason == reasons.REQUESTED
    applied = apply(asked, decision, NOON + DAY)
    assert applied.record.renewal_request is not None, "it stays wanted until the device is renewed"
    assert applied.history[0].actor.name == "ann"


def test_an_unconfirmed_dispatch_goes_out_again_under_the_same_id() -> None:
    now = due(record())
    dispatched = apply(record(), decide(record(), now, POLICY), now).record
    later = now + timedelta(minutes=2)
    assert dispatched.due_at == later
    decision = decide(dispatched, later, POLICY)
    assert decision.action is Action.REPEAT_DISPATCH
    assert decision.command == dispatched.command


def test_a_retired_device_rests() -> None:
    decision = decide(record(state=State.RETIRED), NOON + 40 * DAY, POLICY)
    assert (decision.next_deadline, decision.action, decision.alerts) == (None, None, ())


def test_a_contained_device_is_neither_commanded_nor_escalated() -> None:
    reduction = requested(record(), Actor(name="ann"), "stolen", None, NOON)
    assert reduction is not None
    contained = replace(reduction.record, dispatch_by=None)
    decision = decide(contained, NOON + 40 * DAY, POLICY)
    assert (decision.state, decision.action, decision.alerts) == (State.DISABLED, Action.CONTINUE_CONTAINMENT, ())


def test_containment_is_verified_by_two_looks_apart_and_then_rests() -> None:
    reduction = requested(record(), Actor(name="ann"), "stolen", None, NOON)
    assert reduction is not None
    apart = timedelta(minutes=5)
    first = looked(reduction.record, False, NOON, apart).record
    too_soon = looked(first, False, NOON + timedelta(minutes=1), apart).record
    assert too_soon.containment is not None
    assert not too_soon.containment.is_verified
    back = looked(first, True, NOON + timedelta(minutes=1), apart).record
    assert back.containment is not None
    assert back.containment.gone_since is None
    done = looked(first, False, NOON + apart, apart).record
    assert done.containment is not None
    assert done.containment.is_verified
    assert done.next_deadline == NOON + apart + DAY  # nobody has proven the block yet
    proven = replace(first, containment=replace(contained(first), block=BlockState.BLOCKED))
    assert looked(proven, False, NOON + apart, apart).record.next_deadline is None


def test_the_steps_of_containment_come_in_order() -> None:
    reduction = requested(record(), Actor(name="ann"), "stolen", None, NOON)
    assert reduction is not None
    containment, taken = contained(reduction.record), []
    done = [
        {"identity_before": Before.ENABLED},
        {"hub_disabled_at": NOON},
        {"enrollment_before": Before.ABSENT},
        {"block": BlockState.BLOCKED},
        {"hub_rechecked_at": NOON},
        {"purged_at": NOON},
        {"registry_before": Before.ENABLED},
        {"registry_disabled_at": NOON},
        {"disconnected_at": NOON},
    ]
    for progress in done:
        taken.append(next_step(containment, Plan(purges=True, registry=True)))
        containment = replace(containment, **progress)
    assert [*taken, next_step(containment, Plan(purges=True, registry=True))] == list(Step)


def test_what_is_not_configured_is_no_step() -> None:
    reduction = requested(record(), Actor(name="ann"), "stolen", None, NOON)
    assert reduction is not None
    rechecked = replace(
        contained(reduction.record),
        identity_before=Before.ENABLED,
        hub_disabled_at=NOON,
        enrollment_before=Before.ABSENT,
        block=BlockState.BLOCKED,
        hub_rechecked_at=NOON,
    )
    assert next_step(rechecked, Plan()) is Step.VERIFY
    assert next_step(rechecked, Plan(purges=True)) is Step.PURGE_COMMANDS
    assert next_step(rechecked, Plan(registry=True)) is Step.LOOK_AT_REGISTRY


def test_a_silent_new_identity_is_looked_at() -> None:
    decision = decide(record(certificate=None, state=State.UNKNOWN), NOON, POLICY)
    assert (decision.action, decision.next_deadline) == (Action.LOOK_AT_TWIN, NOON + DAY)


def test_a_command_over_budget_waits_for_its_slot_but_escalates_in_time() -> None:
    now = due(record())
    decision = decide(record(), now, POLICY)
    waiting = postponed(record(), decision, now + 20 * DAY, now).record
    assert (waiting.state, waiting.reason, waiting.command) == (State.DUE, reasons.OVER_BUDGET, None)
    assert waiting.next_deadline is not None
    assert waiting.next_deadline < now + 20 * DAY


lifetimes = st.integers(60, 90 * 86_400).map(lambda s: timedelta(seconds=s))
windows = st.integers(1, 100 * 86_400).map(lambda s: timedelta(seconds=s))


@settings(max_examples=60, deadline=None)
@given(lifetimes, windows, st.integers(1, 4))
def test_a_device_that_never_answers_costs_few_commands_and_every_deadline_moves_forward(
    lifetime: timedelta, window: timedelta, tries: int
) -> None:
    policy = RenewalPolicy(window=window)
    held = record(lifetime)
    now, ids, instants = NOON, [], []
    while held.state is not State.EXPIRED:
        assert held.due_at is not None
        now = max(now, held.due_at)
        instants.append(now)
        decision = decide(held, now, policy)
        held = apply(held, decision, now).record
        if decision.action is Action.SEND_COMMAND and decision.command:
            ids.append(decision.command.id)
        if len(instants) % tries == 0:  # the outbox leaves at the last of so many tries
            held = left(held)
        assert len(instants) < 2000, "the deadline stands still"
    assert len(ids) == len(set(ids))
    bound = 8 + max(0, (policy.window_of(held.certificate) / timedelta(hours=1)).__ceil__().bit_length())  # type: ignore[arg-type]
    assert len(ids) <= bound
    assert all(earlier <= later for earlier, later in pairwise(instants))
    assert set(held.alerted) == {"due", "warning", "critical", "expired"}


@settings(max_examples=60, deadline=None)
@given(lifetimes, st.integers(0, 100 * 86_400))
def test_no_decision_leaves_a_deadline_in_the_past(lifetime: timedelta, second: int) -> None:
    held, now = record(lifetime), NOON + timedelta(seconds=second)
    decision: Decision = decide(held, now, POLICY)
    assert decision.next_deadline is not None
    assert decision.next_deadline > now


@pytest.mark.parametrize("state", list(State))
def test_every_state_is_decided_on(state: State) -> None:
    assert decide(record(state=state), NOON + DAY, POLICY).reason is not None
