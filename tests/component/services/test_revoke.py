"""Revoking a device's certificates in an ADR namespace, and saying so where there is none."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.containing import ANN, BOB, Ward
from support.events import claim, twin_event
from support.fakes import FakeRegistry

from shared.contracts import AlertType
from shared.domain import reasons
from shared.domain.record import State
from shared.errors import InfrastructureFault, NotFound, NotPossible, RevocationUnavailable

DOWN = InfrastructureFault("test", "down")


@pytest.fixture
async def ward() -> Ward:
    ward = Ward(registry=FakeRegistry({"dev-1": True}))
    await ward.issue("dev-1")
    return ward


def registry(ward: Ward) -> FakeRegistry:
    assert ward.registry is not None
    return ward.registry


async def test_without_an_adr_namespace_revoke_names_disable() -> None:
    ward = Ward()
    await ward.issue("dev-1")
    with pytest.raises(RevocationUnavailable, match="`disable` shuts the device out"):
        await ward.containment.revoke("dev-1", ANN, "key leaked")
    assert ward.queue.messages == []


async def test_every_certificate_is_revoked_and_the_device_is_expected_at_dps(ward: Ward) -> None:
    await ward.containment.revoke("dev-1", ANN, "key leaked")
    await ward.pass_time(timedelta(minutes=5))
    record = await ward.record()
    assert registry(ward).revoked == ["dev-1"]
    assert (record.state, record.reason) == (State.EXPIRED, reasons.CERTIFICATE_REVOKED)
    [alert] = [a for a in ward.alerts.sent if a.type == AlertType.DEVICE_REVOKED]
    assert (alert.data["actor"], alert.data["reason"]) == ("ann", "key leaked")
    assert (await ward.entry(reasons.HISTORY_REVOKED))["actor"] == "ann"
    assert ward.hub.identities["dev-1"].status == "enabled"  # it may come back


async def test_a_new_certificate_ends_it(ward: Ward) -> None:
    await ward.containment.revoke("dev-1", ANN, "key leaked")
    await ward.pass_time(timedelta(minutes=5))
    at = ward.clock.now()
    renewed = twin_event({"certificate": claim(at, thumbprint="bb" * 32)}, version=9, sequence=9, at=at)
    await ward.recording.record_hub_events([renewed])
    await ward.pass_time(timedelta(minutes=5))
    record = await ward.record()
    assert (record.state, record.reason) == (State.VALID, reasons.CERTIFICATE_CURRENT)


async def test_no_command_is_sent_for_a_certificate_that_is_revoked(ward: Ward) -> None:
    await ward.containment.revoke("dev-1", ANN, "key leaked")
    await ward.pass_time(timedelta(minutes=5))
    ward.clock.advance(timedelta(days=26))
    await ward.deadlines.sweep()
    assert ward.commands_queue.messages == []


async def test_a_revocation_that_takes_its_time_is_looked_at_again_and_begun_once(ward: Ward) -> None:
    registry(ward).pending = 3
    await ward.containment.revoke("dev-1", ANN, "key leaked")
    await ward.work()
    assert (await ward.record()).revocation is not None
    assert AlertType.DEVICE_REVOKED not in ward.alerts.types
    await ward.pass_time(timedelta(minutes=15))
    assert registry(ward).revoked == ["dev-1"]
    assert ward.alerts.types.count(AlertType.DEVICE_REVOKED) == 1


async def test_a_revocation_that_adr_refuses_is_told_and_the_certificate_stays_good(ward: Ward) -> None:
    registry(ward).failure = "ResourceNotFound: gone"
    await ward.containment.revoke("dev-1", ANN, "key leaked")
    await ward.pass_time(timedelta(minutes=5))
    record = await ward.record()
    assert record.state is State.VALID
    [alert] = [a for a in ward.alerts.sent if a.type == AlertType.DEVICE_CONTAINMENT_UNVERIFIED]
    assert alert.data["reason"] == "the certificates could not be revoked: ResourceNotFound: gone"
    assert (await ward.entry(reasons.HISTORY_REVOCATION_FAILED))["failure"] == "ResourceNotFound: gone"


async def test_a_revocation_resumes_after_a_fault(ward: Ward) -> None:
    registry(ward).faults = [DOWN]
    await ward.containment.revoke("dev-1", ANN, "key leaked")
    with pytest.raises(InfrastructureFault):
        await ward.work()
    await ward.pass_time(timedelta(minutes=5))
    assert registry(ward).revoked == ["dev-1"]


async def test_a_second_request_joins_the_first_and_a_later_one_revokes_again(ward: Ward) -> None:
    await ward.containment.revoke("dev-1", ANN, "key leaked")
    record = await ward.containment.revoke("dev-1", BOB, "me too")
    assert record.revocation is not None
    assert record.revocation.actor == ANN
    await ward.pass_time(timedelta(minutes=5))
    assert registry(ward).revoked == ["dev-1"]
    await ward.containment.revoke("dev-1", BOB, "again")
    await ward.pass_time(timedelta(minutes=5))
    assert registry(ward).revoked == ["dev-1", "dev-1"]
    assert ward.alerts.types.count(AlertType.DEVICE_REVOKED) == 2


async def test_a_repeat_of_a_request_that_joined_another_revokes_no_more(ward: Ward) -> None:
    await ward.containment.revoke("dev-1", ANN, "key leaked")
    asked_at = ward.clock.now()
    await ward.pass_time(timedelta(minutes=5))
    await ward.containment.revoke("dev-1", BOB, "me too", asked_at=asked_at, is_again=True)
    await ward.pass_time(timedelta(minutes=5))
    assert registry(ward).revoked == ["dev-1"]


async def test_a_repeat_of_a_request_that_nobody_heard_revokes_whatever_came_since(ward: Ward) -> None:
    await ward.containment.revoke("dev-1", BOB, "an earlier matter")
    await ward.pass_time(timedelta(minutes=5))
    asked_at = ward.clock.now() + timedelta(seconds=1)
    ward.clock.advance(timedelta(minutes=6))
    at = ward.clock.now()
    renewed = twin_event({"certificate": claim(at, thumbprint="bb" * 32)}, version=9, sequence=9, at=at)
    await ward.recording.record_hub_events([renewed])
    await ward.containment.revoke("dev-1", ANN, "key leaked", asked_at=asked_at, is_again=True)
    await ward.pass_time(timedelta(minutes=5))
    record = await ward.record()
    assert registry(ward).revoked == ["dev-1", "dev-1"]
    assert (record.state, record.reason) == (State.EXPIRED, reasons.CERTIFICATE_REVOKED)


async def test_a_device_that_is_shut_out_can_be_revoked_too(ward: Ward) -> None:
    await ward.containment.disable("dev-1", ANN, "stolen")
    await ward.containment.revoke("dev-1", ANN, "for good")
    await ward.pass_time(timedelta(minutes=20))
    record = await ward.record()
    assert registry(ward).revoked == ["dev-1"]
    assert (record.state, record.reason) == (State.DISABLED, reasons.CONTAINED)


async def test_a_revocation_that_waits_for_adr_keeps_nobody_in(ward: Ward) -> None:
    registry(ward).pending = 1000
    await ward.containment.revoke("dev-1", ANN, "leaked")
    await ward.work()
    await ward.containment.disable("dev-1", ANN, "stolen")
    await ward.pass_time(timedelta(minutes=20))
    assert ward.hub.identities["dev-1"].status == "disabled"
    record = await ward.record()
    assert record.containment is not None
    assert record.containment.is_verified
    assert record.revocation is not None
    assert record.revocation.has_work
    registry(ward).pending = 0
    await ward.pass_time(timedelta(minutes=5))
    assert ward.alerts.types.count(AlertType.DEVICE_REVOKED) == 1


async def test_a_device_that_adr_or_nobody_knows_cannot_be_revoked(ward: Ward) -> None:
    await ward.issue("dev-2")
    with pytest.raises(NotPossible, match="the ADR namespace knows no device dev-2"):
        await ward.containment.revoke("dev-2", ANN, "key leaked")
    with pytest.raises(NotFound):
        await ward.containment.revoke("dev-9", ANN, "key leaked")
