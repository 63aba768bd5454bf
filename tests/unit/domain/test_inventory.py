"""What the hub's and DPS's lists do to a record."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from support.events import DAY
from support.fakes import NOON

from shared.domain import reasons
from shared.domain.alerts import device_alert
from shared.domain.changes import Reduction
from shared.domain.containing import Plan, Step, next_step
from shared.domain.inventory import (
    Registration,
    Source,
    bare,
    enrolled,
    is_shut_out,
    leaving,
    reopened,
    repair,
)
from shared.domain.record import DISPATCH_PATIENCE, Actor, Before, BlockState, Containment, DeviceRecord, State

SOURCE = Source(pass_id="p1", at=NOON)
RECORD = replace(bare("dev-1", "hub-1", SOURCE).record, enrollment_group="fleet", issues_certificates=True)
CONTAINMENT = Containment(
    actor=Actor(name="ann"),
    reason="stolen",
    requested_at=NOON - DAY,
    hub_disabled_at=NOON - DAY,
    block=BlockState.BLOCKED,
    identity_before=Before.ENABLED,
    enrollment_before=Before.ABSENT,
    hub_rechecked_at=NOON - DAY,
    gone_since=NOON - DAY,
    disconnected_at=NOON - DAY,
)


def registration(registration_id: str = "dev-1", hub: str = "hub-1", policy: str | None = "default") -> Registration:
    group = "fleet" if policy else "other"
    return Registration(
        registration_id=registration_id, device_id="dev-1", hub=hub, group=group, credential_policy=policy
    )


def test_a_bare_record_is_looked_at_again():
    assert bare("dev-1", "hub-1", SOURCE).record.due_at == NOON + timedelta(hours=1)


@pytest.mark.parametrize("counter", ["version", "twin_version"])
def test_a_change_of_counters_alone_is_worth_no_write(counter: str):
    counted = replace(RECORD, **{counter: 99}, twin_updated_at=NOON, updated_at=NOON + DAY)
    assert repair(RECORD, Reduction(counted), SOURCE) is None


def test_a_change_of_anything_else_is_written_with_an_entry():
    change = repair(RECORD, Reduction(replace(RECORD, look_at=None, tags={"a": "b"}, version=9)), SOURCE)
    assert change is not None
    assert change.record.version == 9
    assert [entry.kind for entry in change.history] == [reasons.HISTORY_RECONCILED]
    assert change.history[0].event_id == "reconcile/p1/dev-1"


@pytest.mark.parametrize("registration_id", ["dev-1", "DEV-1"])
def test_a_registration_that_is_known_changes_nothing(registration_id: str):
    assert enrolled(RECORD, registration(registration_id), SOURCE) is None


def test_another_registration_id_asks_for_a_look_at_the_twin_and_another_group_does_not():
    renamed = enrolled(RECORD, registration("reg-1"), SOURCE)
    assert renamed is not None
    assert (renamed.record.registration_id, renamed.record.look_at) == ("reg-1", NOON)
    assert renamed.history[0].details["before.registrationId"] == "dev-1"
    moved = enrolled(RECORD, registration(policy=None), SOURCE)
    assert moved is not None
    assert (moved.record.enrollment_group, moved.record.issues_certificates) == ("other", False)
    assert moved.record.look_at is None


@pytest.mark.parametrize(
    "record", [replace(RECORD, state=State.RETIRED), replace(RECORD, hub="hub-2")], ids=["retired", "another hub's"]
)
def test_devices_that_are_none_of_the_hubs_are_not_enrolled(record: DeviceRecord):
    assert enrolled(record, registration("reg-1"), SOURCE) is None


def test_the_name_of_a_hub_ignores_case():
    assert enrolled(RECORD, registration("reg-1", hub="HUB-1"), SOURCE) is not None


@pytest.mark.parametrize(("is_blocked", "block"), [(True, BlockState.BLOCKED), (False, None)])
def test_a_device_that_was_let_in_again_goes_through_every_step_that_was_undone(
    is_blocked: bool, block: BlockState | None
):
    record = replace(RECORD, state=State.DISABLED, containment=CONTAINMENT)
    assert is_shut_out(record)
    change = reopened(record, CONTAINMENT, is_blocked, SOURCE)
    containment = change.record.containment
    assert containment is not None
    assert next_step(containment, Plan()) is Step.DISABLE_IDENTITY
    assert (containment.block, containment.hub_rechecked_at, containment.is_verified) == (block, None, False)
    assert change.record.due_at == NOON + DISPATCH_PATIENCE
    assert not is_shut_out(change.record), "it is told once"
    [alert] = change.record.pending
    assert alert.data["block"] == ("kept" if is_blocked else "removed")


def test_what_has_to_leave_has_a_deadline_and_an_earlier_one_stands():
    alert = device_alert("kind", "dev-1", "now", NOON)
    told = replace(RECORD, pending=(alert,))
    assert leaving(Reduction(RECORD), NOON).record.dispatch_by is None
    assert leaving(Reduction(told), NOON).record.dispatch_by == NOON + DISPATCH_PATIENCE
    waiting = replace(told, dispatch_by=NOON)
    assert leaving(Reduction(waiting), NOON + DAY).record.dispatch_by == NOON
