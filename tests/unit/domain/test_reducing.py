from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from support.events import DAY, claim, device_pem, dps_event, dps_record, hub_event, lifecycle_event, twin_event
from support.fakes import NOON

from shared.contracts import AlertType
from shared.domain import reasons
from shared.domain.changes import Policies
from shared.domain.containing import registration_blocked, requested
from shared.domain.envelope import Envelope
from shared.domain.parsing import parse_dps_event, parse_hub_event
from shared.domain.policy import BeliefPolicy
from shared.domain.record import Actor, BlockState, Command, DeviceRecord, Evidence, State
from shared.domain.reducing import reduce
from shared.domain.registering import EARLY_LOOK

POLICIES = Policies(belief=BeliefPolicy(validity=30 * DAY))
HOUR = timedelta(hours=1)


def after(envelopes: Iterable[Envelope], record: DeviceRecord | None = None) -> DeviceRecord | None:
    """The record once all these were heard."""
    for envelope in envelopes:
        events = parse_dps_event(envelope) if envelope.hub == "dps-events" else parse_hub_event(envelope)
        for event in events:
            reduction = reduce(record, event, POLICIES)
            record = reduction.record if reduction else record
    return record


def reported(version: int, thumbprint: str = "aa", *, at: datetime = NOON, sequence: int = 1, **where: str) -> Envelope:
    return twin_event(
        {"certificate": claim(at, thumbprint=thumbprint)}, version=version, at=at, sequence=sequence, **where
    )


def known(*envelopes: Envelope) -> DeviceRecord:
    record = after(envelopes)
    assert record is not None
    return record


def types(record: DeviceRecord) -> list[str]:
    return [alert.type for alert in record.pending]


def test_a_first_certificate_is_issued_and_gets_its_deadline() -> None:
    record = known(reported(2))
    assert (record.state, record.reason) == (State.VALID, reasons.CERTIFICATE_CURRENT)
    assert types(record) == [AlertType.CERTIFICATE_ISSUED]
    assert record.due_at is not None
    assert NOON + 23 * DAY <= record.due_at <= NOON + 25 * DAY


def test_a_new_certificate_closes_the_renewal() -> None:
    command = Command(id="c", attempt=1, reason="windowOpen", expires_at=NOON, patience_until=NOON)
    commanded = replace(known(reported(2)), command=command, attempts=3, state=State.COMMANDED, alerted=("warning",))
    record = after([reported(3, "bb", at=NOON + 24 * DAY)], commanded)
    assert record is not None
    assert (record.state, record.command, record.attempts, record.alerted) == (State.VALID, None, 0, ())
    assert types(record)[-1] == AlertType.CERTIFICATE_RENEWED


def test_the_same_certificate_again_closes_nothing() -> None:
    command = Command(id="c", attempt=1, reason="windowOpen", expires_at=NOON, patience_until=NOON)
    commanded = replace(known(reported(2)), command=command, state=State.COMMANDED)
    again = twin_event({"certificate": claim(thumbprint="aa")}, version=3, at=NOON + DAY)
    record = after([again], commanded)
    assert record is not None
    assert record.command == command
    assert record.state is State.COMMANDED


def test_a_certificate_older_than_the_known_one_renews_nothing() -> None:
    record = known(reported(2, at=NOON), twin_event({"certificate": claim(NOON - DAY, thumbprint="bb")}, version=3))
    assert record.certificate is not None
    assert record.certificate.thumbprint == "aa"
    assert AlertType.CERTIFICATE_EVIDENCE_MISMATCH in types(record)


def test_a_replayed_twin_event_changes_nothing() -> None:
    [event] = parse_hub_event(reported(2))
    record = known(reported(2))
    assert reduce(record, event, POLICIES) is None


def test_an_older_patch_that_comes_late_changes_nothing() -> None:
    record = known(reported(5, "bb", at=NOON + HOUR))
    assert after([reported(4, "aa")], record) == record


def test_a_mismatch_is_told_once_per_certificate() -> None:
    lies = [
        twin_event({"certificate": claim(lifetime=999 * DAY, thumbprint="aa")}, version=v, at=NOON + v * HOUR)
        for v in (2, 3, 4)
    ]
    record = known(*lies)
    assert types(record).count(AlertType.CERTIFICATE_EVIDENCE_MISMATCH) == 1
    assert record.certificate is not None
    assert record.certificate.valid_until == NOON + 2 * HOUR + 30 * DAY


def test_a_removed_certificate_keeps_its_deadline() -> None:
    before = known(reported(2))
    record = after([twin_event({"certificate": None}, version=3, at=NOON + HOUR)], before)
    assert record is not None
    assert (record.certificate, record.due_at) == (before.certificate, before.due_at)


def test_a_device_that_was_created_again_begins_anew() -> None:
    old = known(reported(50))
    created = lifecycle_event("createDeviceIdentity", at=NOON + DAY)
    record = after([created, reported(2, "bb", at=NOON + DAY + HOUR)], old)
    assert record is not None
    assert (record.incarnation, record.version) == (2, 2)
    assert record.certificate is not None
    assert record.certificate.thumbprint == "bb"


def test_a_patch_of_the_old_life_is_old_news_however_high_its_version() -> None:
    created = lifecycle_event("createDeviceIdentity", at=NOON + DAY)
    record = known(reported(50), created, reported(2, "bb", at=NOON + DAY + HOUR))
    assert after([reported(51, "cc", at=NOON + HOUR)], record) == record


def test_a_creation_that_comes_after_the_first_twin_change_is_no_new_life() -> None:
    record = known(reported(2, at=NOON + HOUR), lifecycle_event("createDeviceIdentity", at=NOON))
    assert record.incarnation == 1
    assert record.certificate is not None


def test_a_falling_version_with_a_rising_service_time_is_a_new_life() -> None:
    record = known(reported(50), reported(2, "bb", at=NOON + DAY))
    assert record.incarnation == 2


def tagged(tags: dict[str, object], version: int, operation: str = "updateTwin") -> Envelope:
    body = {"version": version, "tags": tags, "properties": {"reported": {"$version": 2}}}
    return hub_event(body, "twinChangeEvents", operation)


def test_tags_are_merged_in_their_order_and_old_ones_come_too_late() -> None:
    record = known(reported(2), tagged({"site": {"city": "Bern", "floor": 1}, "rack": "a"}, 5))
    record = after([tagged({"site": {"city": None}, "rack": "b"}, 7), tagged({"rack": "old"}, 6)], record) or record
    assert record.tags == {"rack": "b", "site.floor": "1"}
    removed = after([tagged({"site": None}, 8)], record)
    assert removed is not None
    assert removed.tags == {"rack": "b"}


def test_a_strangers_tags_make_no_record() -> None:
    assert after([tagged({"site": "x"}, 5)]) is None


def test_a_deleted_device_retires_and_its_deadline_goes() -> None:
    record = known(reported(2), lifecycle_event("deleteDeviceIdentity", at=NOON + DAY))
    assert (record.state, record.next_deadline, record.look_at) == (State.RETIRED, None, None)


def test_a_device_that_moved_is_deleted_in_the_old_hub_and_lives_on() -> None:
    moved = reported(2, "bb", at=NOON + DAY, hub="hub-2")
    record = known(reported(9), moved, lifecycle_event("deleteDeviceIdentity", at=NOON + 2 * DAY, hub="hub-1"))
    assert (record.state, record.hub, record.incarnation) == (State.VALID, "hub-2", 2)


def test_a_registration_fills_an_empty_record_provisionally_and_asks_for_a_look() -> None:
    record = known(dps_event(dps_record()))
    assert record.state is State.PROVISIONAL
    assert record.certificate is not None
    assert record.certificate.evidence is Evidence.INFERRED
    assert record.due_at == NOON + EARLY_LOOK


def test_a_report_replaces_what_was_inferred_as_an_issuance() -> None:
    record = known(dps_event(dps_record()), reported(2, at=NOON + timedelta(seconds=2)))
    assert record.state is State.VALID
    assert types(record) == [AlertType.CERTIFICATE_ISSUED]
    assert record.look_at is None


def test_a_registration_never_moves_a_deadline_later_and_closes_no_renewal() -> None:
    before = known(reported(2))
    record = after([dps_event(dps_record(), at=NOON + DAY)], before)
    assert record is not None
    assert record.certificate == before.certificate
    assert record.next_deadline == before.next_deadline
    assert record.look_at == NOON + DAY + EARLY_LOOK


def test_a_strangers_failed_registration_leaves_no_record() -> None:
    assert after([dps_event(dps_record("nobody", "ClientError"))]) is None


TEN = timedelta(minutes=10)


def blocked(at: datetime) -> DeviceRecord:
    """A device that is shut out, with a block that nobody has proven."""
    reduction = requested(known(reported(2)), Actor(name="ann"), "stolen", None, at)
    assert reduction is not None
    return registration_blocked(reduction.record, BlockState.BLOCKED_UNVERIFIED, "e1", at).record


def attempt(result: str, at: datetime, *, sequence: int = 1, heard_at: datetime | None = None) -> Envelope:
    """DPS's log of an attempt to register."""
    return dps_event(dps_record(result=result, at=at), sequence=sequence, at=heard_at or at)


def test_a_contained_device_that_tries_to_register_is_told_once_an_hour() -> None:
    failures = [attempt("ClientError", NOON + HOUR + n * TEN, sequence=n) for n in range(1, 9)]
    record = after(failures, blocked(NOON + HOUR))
    assert record is not None
    assert types(record).count(AlertType.DEVICE_BLOCKED_REGISTRATION_ATTEMPT) == 2
    assert record.containment is not None
    assert record.containment.refused_at == failures[-1].enqueued_at


def test_only_an_attempt_after_the_block_proves_it_however_late_it_is_heard_of() -> None:
    before = after([attempt("Failure", NOON + HOUR - TEN, heard_at=NOON + 2 * HOUR)], blocked(NOON + HOUR))
    assert before is not None
    assert before.containment is not None
    assert before.containment.refused_at is None
    later = after([attempt("Failure", NOON + HOUR, heard_at=NOON + 2 * HOUR)], before)
    assert later is not None
    assert later.containment is not None
    assert (later.containment.refused_at, later.containment.is_proven) == (NOON + HOUR, True)


def test_a_contained_device_that_dps_let_in_is_shut_out_again_and_told() -> None:
    record = after([attempt("Success", NOON + HOUR + TEN)], blocked(NOON + HOUR))
    assert record is not None
    containment = record.containment
    assert containment is not None
    assert (containment.block, containment.hub_disabled_at, containment.passed_at) == (None, None, NOON + HOUR + TEN)
    assert types(record)[-1] == AlertType.DEVICE_CONTAINMENT_UNVERIFIED
    assert record.reason == reasons.CONTAINING


def test_a_registration_that_dps_let_in_before_the_block_is_no_hole_in_it() -> None:
    stood = blocked(NOON + HOUR)
    record = after([attempt("Success", NOON + HOUR - TEN, heard_at=NOON + 2 * HOUR)], stood)
    assert record is not None
    assert record.containment == stood.containment


def test_a_contained_device_stays_contained_when_it_reports_or_is_created_again() -> None:
    reduction = requested(known(reported(2)), Actor(name="ann"), "stolen", None, NOON + HOUR)
    assert reduction is not None
    record = after(
        [
            reported(3, "bb", at=NOON + 2 * HOUR),
            lifecycle_event("createDeviceIdentity", at=NOON + DAY),
            reported(2, "cc", at=NOON + 2 * DAY),
        ],
        reduction.record,
    )
    assert record is not None
    assert record.state is State.DISABLED
    assert record.containment is not None


def _history_of_a_device() -> list[Envelope]:
    pems = [device_pem("dev-1", NOON + n * DAY) for n in range(3)]
    reports = [
        twin_event(
            {"certificate": claim(NOON + n * DAY, thumbprint=None, pem=pem)},
            version=2 + n,
            at=NOON + n * DAY,
            sequence=n,
        )
        for n, pem in enumerate(pems)
    ]
    return [*reports, reported(9, "ee", at=NOON + 5 * DAY, sequence=9)]


HISTORY = _history_of_a_device()


@given(st.lists(st.sampled_from(range(len(HISTORY))), max_size=12), st.randoms())
def test_any_order_and_repetition_of_reports_ends_in_one_record(extra: list[int], random: object) -> None:
    heard = [*range(len(HISTORY)), *extra]
    random.shuffle(heard)  # type: ignore[attr-defined]
    record = after(HISTORY[number] for number in heard)
    straight = after(HISTORY)
    assert record is not None
    assert straight is not None
    assert (record.version, record.certificate, record.next_deadline) == (
        straight.version,
        straight.certificate,
        straight.next_deadline,
    )
    assert (record.state, record.command) == (straight.state, straight.command)


def test_an_onboarding_credential_near_its_end_is_decided_on_at_once_and_told_once_over_renewals() -> None:
    onboarding = {"thumbprint": "cc", "validUntil": "2026-12-01T00:00:00Z", "pem": None}
    record = known(twin_event({"certificate": claim(), "onboarding": onboarding}))
    assert record.next_deadline == NOON
    told = replace(record, alerted=("onboarding/cc/30d", "warning"))
    renewed = after([reported(3, "bb", at=NOON + DAY)], told)
    assert renewed is not None
    assert renewed.alerted == ("onboarding/cc/30d",)


def test_a_deletion_that_is_heard_first_keeps_what_was_before_it_from_making_a_device() -> None:
    record = known(lifecycle_event("deleteDeviceIdentity", at=NOON + DAY))
    assert (record.state, record.due_at) == (State.RETIRED, None)
    assert after([lifecycle_event("createDeviceIdentity", at=NOON), reported(2)], record) == record
    returned = after([reported(2, "bb", at=NOON + 2 * DAY)], record)
    assert returned is not None
    assert returned.state is State.VALID


def test_a_registration_that_overtakes_the_identity_it_made_is_provisional_in_the_new_life() -> None:
    again = NOON + 2 * DAY
    deleted = lifecycle_event("deleteDeviceIdentity", at=NOON + DAY)
    record = known(reported(2), dps_event(dps_record(), at=again), deleted)
    assert record.state is State.RETIRED
    created = after([lifecycle_event("createDeviceIdentity", at=again + timedelta(seconds=1))], record)
    assert created is not None
    assert (created.state, created.due_at) == (State.PROVISIONAL, again + EARLY_LOOK)


def test_patches_of_one_part_each_do_not_hide_each_other_when_they_come_late() -> None:
    onboarding = {"onboarding": {"thumbprint": "cc", "validUntil": None, "pem": None}}
    first = twin_event(onboarding, version=2, at=NOON)
    second = twin_event({"certificate": claim(thumbprint="bb")}, version=3, at=NOON + HOUR)
    third = twin_event({"onboarding": {"thumbprint": "dd", "validUntil": None, "pem": None}}, version=4, at=NOON + DAY)
    for order in ([first, second, third], [third, second, first], [second, third, first]):
        record = known(*order)
        assert record.certificate is not None
        assert record.onboarding is not None
        assert (record.version, record.certificate.thumbprint, record.onboarding.thumbprint) == (4, "bb", "dd")


def test_a_device_that_is_shut_out_is_shut_out_again_when_its_identity_turns_out_to_be_a_new_one() -> None:
    """Its first report in the new life had a higher version, so that nothing told the lives apart until now."""
    reduction = requested(known(reported(2)), Actor(name="ann"), "stolen", None, NOON + HOUR)
    assert reduction is not None
    containment = reduction.record.containment
    assert containment is not None
    done = replace(containment, hub_disabled_at=NOON + HOUR, disconnected_at=NOON + HOUR)
    contained = replace(reduction.record, containment=done, next_deadline=None, dispatch_by=None)
    alive = after([reported(9, "bb", at=NOON + 2 * DAY)], contained)
    record = after([lifecycle_event("createDeviceIdentity", at=NOON + DAY)], alive)
    assert record is not None
    assert record.containment is not None
    assert record.containment.hub_disabled_at is None
    assert (record.reason, record.due_at is not None) == (reasons.CONTAINING, True)
