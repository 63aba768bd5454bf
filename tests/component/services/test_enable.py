"""Letting a device in again: exactly what was done is undone, what others did is left, a fresh certificate follows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.containing import ANN, BOB, LOOK, Ward
from support.events import claim, lifecycle_event, onboarding_pem, twin_event
from support.fakes import FakeRegistry

from shared.contracts import AlertType
from shared.domain import reasons
from shared.domain.record import Before, DeviceRecord, State
from shared.errors import InfrastructureFault, NotFound, NotPossible

DOWN = InfrastructureFault("test", "down")


@pytest.fixture
async def ward() -> Ward:
    """A device that is shut out, and verified."""
    return await shut_out(Ward())


async def shut_out(ward: Ward) -> Ward:
    if "dev-1" not in ward.hub.identities:
        await ward.issue("dev-1")
    await ward.containment.disable("dev-1", ANN, "stolen", onboarding_pem("dev-1"))
    await ward.pass_time(3 * LOOK)
    assert (await ward.record()).reason == reasons.CONTAINED
    return ward


async def let_in(ward: Ward) -> DeviceRecord:
    await ward.containment.enable("dev-1", BOB, "found")
    await ward.pass_time(2 * LOOK)
    return await ward.record()


def outcomes(ward: Ward) -> dict[str, str | None]:
    """What the alert of its return says became of each place."""
    [alert] = [a for a in ward.alerts.sent if a.type == AlertType.DEVICE_ENABLED]
    return {place: alert.data[place] for place in ("identity", "enrollment", "registry")}


async def test_enable_undoes_what_disable_did_and_tells(ward: Ward) -> None:
    record = await let_in(ward)
    identity = ward.hub.identities["dev-1"]
    assert (identity.status, identity.status_reason) == ("enabled", "")
    assert ward.provisioning.enrollments == {}
    assert record.containment is None
    assert outcomes(ward) == {"identity": "restored", "enrollment": "removed", "registry": None}
    [alert] = [a for a in ward.alerts.sent if a.type == AlertType.DEVICE_ENABLED]
    assert (alert.data["actor"], alert.data["reason"]) == ("bob", "found")


async def test_the_way_back_stands_in_the_history_with_its_actor_and_how_long_it_took(ward: Ward) -> None:
    await let_in(ward)
    back = {
        reasons.HISTORY_ENABLE_REQUESTED,
        reasons.HISTORY_DPS_UNBLOCKED,
        reasons.HISTORY_HUB_RESTORED,
        reasons.HISTORY_ENABLED,
    }
    assert back <= set(await ward.history())
    entry = await ward.entry(reasons.HISTORY_ENABLED)
    assert (entry["actor"], entry["reason"], entry["took"]) == ("bob", "found", "300 s")


async def test_while_it_is_on_its_way_the_device_is_enabling_and_free_to_connect(ward: Ward) -> None:
    record = await ward.containment.enable("dev-1", BOB, "found")
    assert (record.state, record.reason) == (State.DISABLED, reasons.ENABLING)
    assert ward.table.keys("contained!") == []


async def test_a_fresh_certificate_is_pursued_until_it_comes(ward: Ward) -> None:
    record = await let_in(ward)
    assert record.renewal_request is not None
    assert (record.renewal_request.actor, record.renewal_request.reason) == (BOB, "enabled: found")
    assert record.command is not None  # the sweep has asked for it
    at = ward.clock.now()
    renewed = twin_event({"certificate": claim(at, thumbprint="bb" * 32)}, version=9, sequence=9, at=at)
    await ward.recording.record_hub_events([renewed])
    record = await ward.record()
    assert (record.state, record.renewal_request, record.command) == (State.VALID, None, None)


async def test_a_device_whose_certificate_has_ended_is_expected_at_dps() -> None:
    ward = await shut_out(Ward())
    ward.clock.advance(timedelta(days=40))
    record = await let_in(ward)
    assert (record.state, record.command) == (State.EXPIRED, None)


async def test_a_device_of_which_no_certificate_is_known_is_looked_at() -> None:
    ward = Ward()
    ward.hub.add("dev-1")
    await shut_out(ward)
    await ward.containment.enable("dev-1", BOB, "found")
    await ward.work()
    ward.clock.advance(LOOK)
    await ward.containment.advance({"deviceId": "dev-1"})
    record = await ward.record()
    assert (record.state, record.reason) == (State.UNKNOWN, reasons.NO_CERTIFICATE)
    assert record.look_at is not None


async def test_an_enrollment_that_stood_there_is_enabled_again_with_its_keys() -> None:
    ward = Ward()
    ward.provisioning.add("dev-1")
    await let_in(await shut_out(ward))
    enrollment = ward.provisioning.enrollments["dev-1"]
    assert (enrollment.status, enrollment.document) == (Before.ENABLED, {"keys": "its own"})
    assert outcomes(ward)["enrollment"] == "restored"


async def test_an_enrollment_that_was_disabled_before_stays_so() -> None:
    ward = Ward()
    ward.provisioning.add("dev-1", Before.DISABLED)
    await let_in(await shut_out(ward))
    assert ward.provisioning.enrollments["dev-1"].status is Before.DISABLED
    assert outcomes(ward)["enrollment"] == "nothing to undo"


async def test_a_block_that_somebody_else_has_changed_is_theirs(ward: Ward) -> None:
    block = ward.provisioning.enrollments["dev-1"]
    await ward.provisioning.set_enrollment_status(block, Before.DISABLED)  # another ETag
    await let_in(ward)
    assert ward.provisioning.enrollments["dev-1"].status is Before.DISABLED
    assert outcomes(ward)["enrollment"] == "left: somebody else has changed it"


async def test_an_enrollment_that_somebody_else_has_made_in_its_place_is_theirs(ward: Ward) -> None:
    ward.provisioning.add("dev-1", Before.DISABLED)
    await let_in(ward)
    assert ward.provisioning.enrollments["dev-1"].status is Before.DISABLED


@pytest.mark.parametrize(
    ("status", "reason", "left"),
    [("disabled", "unpaid", "left: somebody else has disabled it: unpaid"), ("enabled", "", "nothing to undo")],
)
async def test_an_identity_that_somebody_else_has_changed_is_left(
    ward: Ward, status: str, reason: str, left: str
) -> None:
    ward.hub.change("dev-1", status=status, status_reason=reason)
    await let_in(ward)
    identity = ward.hub.identities["dev-1"]
    assert (identity.status, identity.status_reason) == (status, reason)
    assert outcomes(ward)["identity"] == left


async def test_an_identity_that_was_disabled_before_stays_so_with_its_reason() -> None:
    ward = Ward()
    await ward.issue("dev-1")
    ward.hub.change("dev-1", status="disabled", status_reason="unpaid", connected=False)
    await let_in(await shut_out(ward))
    identity = ward.hub.identities["dev-1"]
    assert (identity.status, identity.status_reason) == ("disabled", "unpaid")


async def test_a_reason_that_the_identity_had_comes_back() -> None:
    ward = Ward()
    await ward.issue("dev-1")
    ward.hub.change("dev-1", status_reason="on probation")
    await let_in(await shut_out(ward))
    assert ward.hub.identities["dev-1"].status_reason == "on probation"


@pytest.mark.parametrize(("before", "outcome"), [(True, "restored"), (False, "nothing to undo")])
async def test_in_the_adr_namespace_the_device_is_what_it_was(before: bool, outcome: str) -> None:
    ward = Ward(registry=FakeRegistry({"dev-1": before}))
    await let_in(await shut_out(ward))
    assert ward.registry is not None
    assert ward.registry.devices == {"dev-1": before}
    assert outcomes(ward)["registry"] == outcome


async def test_a_device_that_was_deleted_while_it_was_shut_out_is_released_and_stays_retired(ward: Ward) -> None:
    del ward.hub.identities["dev-1"]
    gone = lifecycle_event("deleteDeviceIdentity", at=ward.clock.now(), sequence=50)
    await ward.recording.record_hub_events([gone])
    record = await let_in(ward)
    assert (record.state, record.containment) == (State.RETIRED, None)
    assert ward.provisioning.enrollments == {}
    assert outcomes(ward)["identity"] == "left: the hub has no such device"


async def test_enabling_resumes_where_a_fault_stopped_it(ward: Ward) -> None:
    await ward.containment.enable("dev-1", BOB, "found")
    ward.hub.faults = [DOWN]
    with pytest.raises(InfrastructureFault):
        await ward.work()
    assert ward.provisioning.enrollments == {}
    assert ward.hub.identities["dev-1"].status == "disabled"
    await ward.pass_time(2 * LOOK)
    assert (await ward.record()).containment is None
    assert ward.hub.identities["dev-1"].status == "enabled"


async def test_enabling_twice_keeps_the_first_actor(ward: Ward) -> None:
    await ward.containment.enable("dev-1", BOB, "found")
    record = await ward.containment.enable("dev-1", ANN, "me too")
    assert record.containment is not None
    assert record.containment.release is not None
    assert record.containment.release.actor == BOB


async def test_a_device_that_is_not_shut_out_cannot_be_enabled() -> None:
    ward = Ward()
    with pytest.raises(NotFound):
        await ward.containment.enable("dev-1", BOB, "found")
    await ward.issue("dev-1")
    with pytest.raises(NotPossible, match="dev-1 is not disabled"):
        await ward.containment.enable("dev-1", BOB, "found")


async def test_a_second_look_that_comes_too_early_is_taken_when_it_is_time(ward: Ward) -> None:
    """Deadlines are kept to the second: a sweep may come a little before the instant."""
    ward.clock.advance(timedelta(milliseconds=700))
    await ward.containment.enable("dev-1", BOB, "found")
    await ward.work()
    ward.clock.advance(LOOK - timedelta(milliseconds=300))
    await ward.deadlines.sweep()
    await ward.work()
    assert (await ward.record()).reason == reasons.ENABLING
    ward.clock.advance(timedelta(seconds=1))
    await ward.deadlines.sweep()
    await ward.work()
    assert (await ward.record()).containment is None
