"""What feedback does to a record."""

from __future__ import annotations

import itertools
import json
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.events import DAY
from support.fakes import NOON
from support.feedback import answer

from shared.domain import reasons
from shared.domain.answering import Delivery, command_answered, may_be_ours, read_answers
from shared.domain.deciding import command_id
from shared.domain.record import Certificate, Command, DeviceRecord, Evidence, State

HOUR = timedelta(hours=1)
NEGATIVE = [status for status in Delivery if status is not Delivery.SUCCESS]
CERTIFICATE = Certificate(
    identity="aa" * 32,
    valid_from=NOON - 23 * DAY,
    valid_until=NOON + 7 * DAY,
    evidence=Evidence.REPORTED,
    first_seen=NOON - 23 * DAY,
)


def commanded(attempt: int = 1, **changes: object) -> DeviceRecord:
    """A command sent at noon, which lives for an hour."""
    patience = NOON + HOUR * 2 ** (attempt - 1)
    command = Command(
        id=command_id("dev-1", CERTIFICATE, attempt),
        attempt=attempt,
        reason="windowOpen",
        expires_at=NOON + HOUR,
        patience_until=patience,
        sent_at=NOON,
    )
    record = DeviceRecord(
        device_id="dev-1",
        registration_id="dev-1",
        hub="hub-1",
        first_seen=NOON,
        updated_at=NOON,
        state=State.COMMANDED,
        reason=reasons.COMMAND_IN_FLIGHT,
        certificate=CERTIFICATE,
        command=command,
        attempts=attempt,
        next_deadline=patience,
    )
    return replace(record, **changes)


def answered(record: DeviceRecord, status: Delivery, minutes: float = 1) -> DeviceRecord:
    assert record.command is not None
    reduction = command_answered(record, record.command.id, status, NOON + timedelta(minutes=minutes))
    return reduction.record if reduction else record


def test_a_command_that_was_taken_is_waited_for_until_patience_ends() -> None:
    before = commanded(attempt=2)
    after = answered(before, Delivery.SUCCESS)
    assert (after.reason, after.state) == (reasons.COMMAND_DELIVERED, State.COMMANDED)
    assert (after.command, after.next_deadline) == (before.command, before.next_deadline)


def test_an_answer_proves_a_sending_that_nobody_could_note() -> None:
    before = commanded(state=State.DISPATCHING)
    assert before.command is not None
    lost = replace(before, command=replace(before.command, sent_at=None))
    after = answered(lost, Delivery.SUCCESS)
    assert after.command is not None
    assert (after.command.sent_at, after.state) == (NOON + timedelta(minutes=1), State.COMMANDED)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (Delivery.EXPIRED, reasons.COMMAND_EXPIRED),
        (Delivery.DELIVERY_COUNT_EXCEEDED, reasons.COMMAND_UNDELIVERABLE),
        (Delivery.REJECTED, reasons.COMMAND_REJECTED),
        (Delivery.PURGED, reasons.COMMAND_PURGED),
    ],
)
def test_a_command_that_was_not_taken_says_why_and_counts_its_pause_from_the_answer(
    status: Delivery, reason: str
) -> None:
    after = answered(commanded(attempt=3), status, minutes=10)
    assert after.reason == reason
    assert after.next_deadline == NOON + timedelta(minutes=10) + 3 * HOUR  # silence would wait for 4 h from noon


@pytest.mark.parametrize("attempt", range(1, 8))
def test_an_expired_command_ends_when_silence_would_have_ended_it(attempt: int) -> None:
    before = commanded(attempt)
    assert answered(before, Delivery.EXPIRED, minutes=60).next_deadline == before.next_deadline


@given(attempt=st.integers(1, 12), minutes=st.integers(0, 200_000), status=st.sampled_from(NEGATIVE))
def test_no_answer_makes_the_next_attempt_later_than_silence_nor_earlier_than_the_answer(
    attempt: int, minutes: int, status: Delivery
) -> None:
    before = commanded(attempt)
    after = answered(before, status, minutes)
    assert after.next_deadline is not None
    assert before.next_deadline is not None
    assert after.next_deadline <= before.next_deadline
    assert after.next_deadline >= min(NOON + timedelta(minutes=minutes), before.next_deadline)
    assert after.command is not None
    assert after.command.patience_until == after.next_deadline


def test_an_escalation_that_comes_first_keeps_its_deadline_and_overdue_stays_overdue() -> None:
    soon = NOON + timedelta(minutes=5)
    after = answered(commanded(attempt=4, state=State.OVERDUE, next_deadline=soon), Delivery.REJECTED)
    assert (after.next_deadline, after.state) == (soon, State.OVERDUE)


@pytest.mark.parametrize("status", Delivery)
def test_an_answer_that_comes_again_changes_nothing(status: Delivery) -> None:
    once = answered(commanded(attempt=2), status, 1)
    assert answered(once, status, 1) is once
    assert answered(once, status, 3) is once


@given(st.lists(st.tuples(st.sampled_from(Delivery), st.integers(0, 300)), min_size=1, max_size=6))
def test_one_copy_that_was_taken_outweighs_all_that_were_not(answers: list[tuple[Delivery, int]]) -> None:
    record = commanded(attempt=2)
    for status, minutes in answers:
        record = answered(record, status, minutes)
    taken = any(status is Delivery.SUCCESS for status, _ in answers)
    assert (record.reason == reasons.COMMAND_DELIVERED) is taken


def test_answers_to_commands_that_were_left_behind_come_too_late() -> None:
    record = commanded(attempt=2)
    for stale in (command_id("dev-1", CERTIFICATE, 1), str(uuid.uuid4())):
        assert command_answered(record, stale, Delivery.EXPIRED, NOON) is None
    assert (
        command_answered(replace(record, command=None), command_id("dev-1", CERTIFICATE, 2), Delivery.PURGED, NOON)
        is None
    )


def test_the_history_says_what_became_of_which_attempt() -> None:
    record = commanded(attempt=2)
    assert record.command is not None
    reduction = command_answered(record, record.command.id, Delivery.EXPIRED, NOON + HOUR)
    assert reduction is not None
    [entry] = reduction.history
    assert (entry.kind, entry.event_id) == (reasons.HISTORY_COMMAND_ANSWERED, record.command.id)
    assert (entry.reason, entry.details) == (reasons.COMMAND_EXPIRED, {"attempt": "2", "status": "Expired"})


@pytest.mark.parametrize(
    "change",
    [
        {"originalMessageId": None},
        {"statusCode": "Lost"},
        {"enqueuedTimeUtc": "yesterday"},
        {"deviceId": 7},
        {"statusCode": None},
    ],
)
def test_a_record_that_cannot_be_read_spoils_no_other(change: dict[str, object]) -> None:
    good = answer("m-1", "Expired")
    read = read_answers(json.dumps([{**good, **change}, "text", None, good]).encode())
    assert read[:3] == [None, None, None]
    assert read[3] is not None
    assert (read[3].message_id, read[3].status, read[3].at) == ("m-1", Delivery.EXPIRED, NOON)


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b'"x"', b"\xff", b"[" * 100_000])
def test_a_body_that_cannot_be_read_counts_as_one_strange_record(body: bytes) -> None:
    assert read_answers(body) == [None]


def test_only_ids_of_the_form_of_ours_may_be_ours() -> None:
    ours = command_id("dev-1", CERTIFICATE, 1)
    strangers = [str(uuid.uuid4()), "m-1", ours.upper(), f"{{{ours}}}", ours.replace("-", ""), ""]
    form = [
        may_be_ours(a)
        for name in (ours, *strangers)
        for a in read_answers(json.dumps([answer(name)]).encode())
        if a is not None
    ]
    assert list(itertools.islice(form, 1)) == [True]
    assert not any(form[1:])
