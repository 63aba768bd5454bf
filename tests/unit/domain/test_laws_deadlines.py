"""The laws of deadlines: what a device says alone never moves one past what the service knows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.events import DAY, claim, device_pem, dps_event, dps_record, twin_event
from support.fakes import NOON, FakeTable

from shared.domain.changes import Policies
from shared.domain.envelope import Envelope
from shared.domain.parsing import parse_dps_event, parse_hub_event
from shared.domain.policy import BeliefPolicy
from shared.domain.record import DeviceRecord, State
from shared.domain.reducing import reduce
from shared.errors import BadEvent
from shared.services.store import FleetStore

VALIDITY = 30 * DAY
SKEW = timedelta(minutes=5)
POLICIES = Policies(belief=BeliefPolicy(skew=SKEW, validity=VALIDITY))
HOUR = timedelta(hours=1)
PEM = device_pem("dev-1")


@dataclass(frozen=True)
class Said:
    """One thing that a device says of a certificate, an hour after the last: true or not."""

    thumbprint: str
    begins: timedelta
    lives: timedelta
    pem: str | None

    def envelope(self, number: int) -> Envelope:
        said = claim(NOON + self.begins, self.lives, thumbprint=self.thumbprint, pem=self.pem)
        return twin_event({"certificate": said}, version=2 + number, sequence=number, at=NOON + number * HOUR)


sayings = st.lists(
    st.builds(
        Said,
        thumbprint=st.sampled_from(["aa" * 32, "bb" * 32]),
        begins=st.integers(-40 * 24, 40 * 24).map(lambda hours: hours * HOUR),
        lives=st.integers(1, 400 * 24).map(lambda hours: hours * HOUR),
        pem=st.sampled_from([None, None, PEM]),
    ),
    max_size=8,
)


def heard(record: DeviceRecord | None, envelope: Envelope) -> DeviceRecord | None:
    """The record after the event; a claim that cannot be believed at all changes nothing."""
    parse = parse_dps_event if envelope.hub == "dps-events" else parse_hub_event
    for event in parse(envelope):
        try:
            reduction = reduce(record, event, POLICIES)
        except BadEvent:
            continue
        record = reduction.record if reduction else record
    return record


@given(sayings)
@settings(max_examples=30, deadline=None)
def test_for_one_certificate_a_deadline_moves_later_only_on_stronger_evidence(said: list[Said]) -> None:
    record: DeviceRecord | None = None
    for number, saying in enumerate(said):
        before, now = record, NOON + number * HOUR
        record = heard(record, saying.envelope(number))
        if before is None or record is None or before.certificate is None or record.certificate is None:
            continue
        if before.certificate.identity != record.certificate.identity:
            continue
        assert before.next_deadline is not None
        assert record.next_deadline is not None
        if record.certificate.evidence.strength <= before.certificate.evidence.strength:
            assert record.certificate.valid_until <= before.certificate.valid_until
            assert max(record.next_deadline, now) <= max(before.next_deadline, now)


@given(sayings)
@settings(max_examples=30, deadline=None)
def test_no_claim_reaches_further_than_the_policy_issues_from_when_it_was_heard(said: list[Said]) -> None:
    record: DeviceRecord | None = None
    for number, saying in enumerate(said):
        record = heard(record, saying.envelope(number))
        if record is None or record.certificate is None:
            continue
        latest = NOON + number * HOUR + VALIDITY + SKEW
        assert record.certificate.valid_from < record.certificate.valid_until <= latest
        assert record.certificate.valid_from <= NOON + number * HOUR + SKEW
        assert record.next_deadline is not None
        assert record.next_deadline <= latest


@given(sayings.filter(bool))
@settings(max_examples=20, deadline=None)
def test_a_device_that_reports_null_or_registers_again_keeps_its_deadline(said: list[Said]) -> None:
    record: DeviceRecord | None = None
    for number, saying in enumerate(said):
        record = heard(record, saying.envelope(number))
    if record is None or record.certificate is None:
        return
    known = record
    at = NOON + len(said) * HOUR
    record = heard(record, twin_event({"certificate": None}, version=99, sequence=99, at=at))
    record = heard(record, dps_event(dps_record(), at=at))
    assert record is not None
    assert (record.certificate, record.next_deadline) == (known.certificate, known.next_deadline)


@given(sayings)
@settings(max_examples=20, deadline=None)
def test_a_record_that_is_not_at_rest_always_has_a_deadline(said: list[Said]) -> None:
    record: DeviceRecord | None = None
    for number, saying in enumerate(said):
        record = heard(record, saying.envelope(number))
        assert record is None or record.due_at is not None or record.state is State.RETIRED


@pytest.mark.parametrize("year", [1970, 2099, 9998])
def test_a_clock_in_another_century_moves_no_deadline_past_what_the_service_knows(year: int) -> None:
    begins = NOON.replace(year=year)
    record = heard(None, twin_event({"certificate": claim(begins, 30 * DAY)}))
    if record is not None and record.next_deadline is not None:
        assert record.next_deadline <= NOON + VALIDITY


async def test_every_deadline_row_has_its_record_whatever_was_heard() -> None:
    """The rows of many changes, each against the one before: the old deadline goes with the new one's coming."""
    table = FakeTable()
    store = FleetStore(table, 1)
    for number in range(60):
        days = (number * 7) % 40 + 1
        saying = Said(f"{number // 3:064x}", number * HOUR - days * DAY / 2, days * DAY, None)
        envelope = saying.envelope(number)
        await store.update(["dev-1"], lambda _, record, e=envelope: _reduction(record, e))  # type: ignore[misc]
        stored = await store.load("dev-1")
        if stored is not None:
            assert len(table.keys("due!")) == 1
            assert len(table.keys("expires!")) == 1


def _reduction(record: DeviceRecord | None, envelope: Envelope) -> object:
    [event] = parse_hub_event(envelope)
    try:
        return reduce(record, event, POLICIES)
    except BadEvent:
        return None
