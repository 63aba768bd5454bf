from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fakes import NOON

from shared.contracts import AlertType
from shared.domain import reasons
from shared.domain.applying import renewal_requested
from shared.domain.circumstances import Circumstances, Interval, Pause
from shared.domain.deciding import Action, decide
from shared.domain.policy import RenewalPolicy
from shared.domain.record import Actor, Certificate, DeviceRecord, Evidence, State

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
POLICY = RenewalPolicy()
END = NOON + 30 * DAY
CERTIFICATE = Certificate(
    identity="aa", valid_from=NOON, valid_until=END, evidence=Evidence.PARSED, first_seen=NOON, authority_key_id="old"
)
RECORD = DeviceRecord(
    device_id="dev-1",
    registration_id="dev-1",
    hub="hub-1",
    first_seen=NOON,
    updated_at=NOON,
    state=State.VALID,
    certificate=CERTIFICATE,
    tags={"site": "bern"},
)
DUE = POLICY.due_at(CERTIFICATE, "dev-1")
CRITICAL = POLICY.escalates_at(CERTIFICATE)


def decided(now: datetime, circumstances: Circumstances, record: DeviceRecord = RECORD):
    return decide(record, now, POLICY, circumstances)


def pause_until(until: datetime, tag: str | None = None) -> Pause:
    return Pause(id="p-1", until=until, tag=tag, actor=Actor(name="ann"), reason="DPS is down", ruled_at=NOON)


def paused(until: datetime, tag: str | None = None) -> Circumstances:
    return Circumstances(pauses=(pause_until(until, tag),))


@pytest.mark.parametrize("tag", [None, "site=bern"])
def test_a_paused_device_is_not_commanded_until_the_pause_ends(tag: str | None) -> None:
    decision = decided(DUE, paused(DUE + HOUR, tag))
    assert (decision.state, decision.reason, decision.action) == (State.DUE, reasons.PAUSED, None)
    assert decision.next_deadline == DUE + HOUR
    assert decided(DUE + HOUR, paused(DUE + HOUR, tag)).action is Action.SEND_COMMAND


def test_a_pause_of_another_tag_does_not_hold() -> None:
    assert decided(DUE, paused(END, "site=basel")).action is Action.SEND_COMMAND


def test_a_pause_ends_where_the_certificate_becomes_critical() -> None:
    assert decided(DUE, paused(END + DAY)).next_deadline <= CRITICAL
    decision = decided(CRITICAL, paused(END + DAY))
    assert (decision.action, decision.reason) == (Action.SEND_COMMAND, reasons.NO_TIME_TO_WAIT)


def test_escalations_do_not_wait_for_a_pause() -> None:
    decision = decided(POLICY.warns_at(CERTIFICATE), paused(END))
    assert [a.type for a in decision.alerts] == [AlertType.CERTIFICATE_RENEWAL_OVERDUE]
    assert decision.state is State.OVERDUE


def test_commands_wait_for_the_maintenance_window() -> None:
    window = Interval(DUE + 3 * HOUR, DUE + 5 * HOUR)
    decision = decided(DUE, Circumstances(windows=(window,)))
    assert (decision.reason, decision.next_deadline) == (reasons.WAITS_FOR_WINDOW, window.start)
    assert decided(window.start, Circumstances(windows=(window,))).action is Action.SEND_COMMAND


@pytest.mark.parametrize("windows", [(), (Interval(END, END + DAY),)])
def test_a_renewal_that_fits_no_window_goes_ahead_and_says_so(windows: tuple[Interval, ...]) -> None:
    decision = decided(DUE, Circumstances(windows=windows))
    assert (decision.action, decision.reason) == (Action.SEND_COMMAND, reasons.NO_TIME_TO_WAIT)


def test_an_operators_request_waits_for_nothing() -> None:
    asked = renewal_requested(RECORD, Actor(name="ann"), "now", NOON + DAY).record
    circumstances = Circumstances(pauses=paused(END).pauses, windows=())
    assert decided(NOON + DAY, circumstances, asked).action is Action.SEND_COMMAND


def test_a_rotated_issuers_certificates_are_renewed_before_their_window() -> None:
    decision = decided(NOON + DAY, Circumstances(rotated=frozenset({"old"})))
    assert decision.action is Action.SEND_COMMAND
    assert decision.command is not None
    assert decision.command.reason == reasons.ISSUER_ROTATED
    assert decided(NOON + DAY, Circumstances(rotated=frozenset({"other"}))).action is None


def test_a_revoked_issuers_devices_are_not_commanded_in_vain() -> None:
    decision = decided(DUE, Circumstances(revoked=frozenset({"old"})))
    assert (decision.state, decision.reason, decision.action) == (State.EXPIRED, reasons.ISSUER_REVOKED, None)


def test_an_issuance_that_nobody_confirmed_is_told_once_where_one_was_expected() -> None:
    inferred = replace(CERTIFICATE, evidence=Evidence.INFERRED)
    expected = replace(RECORD, certificate=inferred, issues_certificates=True)
    waiting = decided(NOON + timedelta(minutes=59), Circumstances(), expected)
    assert waiting.next_deadline == NOON + HOUR
    decision = decided(NOON + HOUR, Circumstances(), expected)
    assert [a.type for a in decision.alerts] == [AlertType.CERTIFICATE_ISSUANCE_UNCONFIRMED]
    assert decided(NOON + 2 * HOUR, Circumstances(), replace(expected, alerted=decision.alerted)).alerts == ()
    assert decided(NOON + HOUR, Circumstances(), replace(expected, issues_certificates=None)).alerts == ()


offsets = st.integers(-20, 20).map(lambda hours: timedelta(hours=hours))


@given(offsets, st.lists(st.tuples(offsets, st.integers(1, 9)), max_size=4), st.none() | offsets)
def test_a_command_leaves_only_when_it_may_or_must(
    shift: timedelta, windows: list[tuple[timedelta, int]], pause: timedelta | None
) -> None:
    now = DUE + DAY + shift
    intervals = tuple(Interval(now + start, now + start + length * HOUR) for start, length in sorted(windows))
    circumstances = Circumstances(
        pauses=() if pause is None else (pause_until(now + pause),), windows=intervals if windows else None
    )
    decision = decided(now, circumstances)
    is_paused = pause is not None and pause > timedelta()
    is_open = not windows or any(i.start <= now < i.end for i in intervals)
    opens_later = any(now < i.start < CRITICAL for i in intervals)
    if decision.action is Action.SEND_COMMAND:
        assert not is_paused or now >= CRITICAL
        assert is_open or not opens_later
    else:
        assert is_paused or (not is_open and opens_later)
        assert decision.next_deadline is not None
        assert decision.next_deadline > now
