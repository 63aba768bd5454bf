"""Shutting a device out: every step at the hub, at DPS and in ADR, and the proof that it is gone."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.containing import ANN, BOB, LOOK, Ward
from support.events import device_pem, onboarding_pem, twisted_pem
from support.fakes import FakeRegistry

from shared.contracts import AlertType
from shared.domain import reasons
from shared.domain.record import Before, BlockState, State
from shared.domain.status_reason import LONGEST, is_ours, status_reason
from shared.errors import Conflict, InfrastructureFault, NotFound, NotPossible
from shared.services.containment_watch import Contained, ContainmentWatch

DOWN = InfrastructureFault("test", "down")
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def ward() -> Ward:
    ward = Ward()
    await ward.issue("dev-1")
    return ward


async def shut_out(ward: Ward, pem: str | None = None, device_id: str = "dev-1") -> None:
    await ward.containment.disable(device_id, ANN, "stolen", pem or onboarding_pem(device_id))
    await ward.work()


async def test_disable_shuts_the_device_out_at_the_hub_and_at_dps_and_tells(ward: Ward) -> None:
    record = await ward.containment.disable("dev-1", ANN, "stolen", onboarding_pem("dev-1"))
    assert (record.state, record.reason) == (State.DISABLED, reasons.CONTAINING)
    await ward.work()
    identity = ward.hub.identities["dev-1"]
    assert (identity.status, identity.status_reason) == ("disabled", "fleetcert: stolen")
    assert ward.provisioning.blocks == {"dev-1": onboarding_pem("dev-1")}
    assert ward.alerts.types[-1] == AlertType.DEVICE_DISABLED
    containment = await ward.progress()
    assert containment.block is BlockState.BLOCKED
    assert not containment.is_verified


async def test_what_stood_there_before_is_remembered_before_anything_is_changed(ward: Ward) -> None:
    ward.hub.change("dev-1", status_reason="on probation")
    ward.provisioning.add("dev-1")
    ward.hub.faults, ward.provisioning.faults = [DOWN], [DOWN]
    await ward.containment.disable("dev-1", ANN, "stolen")
    for _ in range(2):
        with pytest.raises(InfrastructureFault):
            await ward.containment.advance({"deviceId": "dev-1"})
    before = await ward.progress()
    assert (before.identity_before, before.identity_reason_before) == (Before.ENABLED, "on probation")
    assert before.enrollment_before is Before.ENABLED
    assert ward.provisioning.enrollments["dev-1"].status is Before.ENABLED


async def test_containment_is_verified_when_the_connection_stays_gone_and_the_history_says_how_long_it_took(
    ward: Ward,
) -> None:
    await shut_out(ward)
    await ward.pass_time()
    record = await ward.record()
    assert (record.reason, record.next_deadline) == (reasons.CONTAINED, None)
    assert ward.table.keys("due!") == []
    entry = await ward.entry(reasons.HISTORY_DISCONNECTED)
    assert (entry["actor"], entry["evidence"], entry["took"]) == ("ann", "two looks", "300 s")


async def test_a_device_that_stays_connected_is_containing_and_told_once(ward: Ward) -> None:
    await shut_out(ward)
    ward.hub.change("dev-1", connected=True)
    await ward.pass_time(8 * LOOK)
    record = await ward.record()
    assert record.reason == reasons.CONTAINING
    late = [a for a in ward.alerts.sent if a.type == AlertType.DEVICE_CONTAINMENT_UNVERIFIED]
    assert [a.data["reason"] for a in late] == ["the device is still connected"]
    ward.hub.change("dev-1", connected=False)
    await ward.pass_time(3 * LOOK)
    assert (await ward.record()).reason == reasons.CONTAINED


async def test_a_block_without_the_onboarding_credential_is_unverified_and_told_every_day(ward: Ward) -> None:
    await ward.containment.disable("dev-1", ANN, "stolen")
    await ward.pass_time(timedelta(days=2, hours=1))
    containment = await ward.progress()
    assert containment.block is BlockState.BLOCKED_UNVERIFIED
    assert containment.is_verified
    told = [a for a in ward.alerts.sent if a.type == AlertType.DEVICE_CONTAINMENT_UNVERIFIED]
    assert [a.data["block"] for a in told] == ["blocked-unverified"] * 3
    assert len({a.id for a in told}) == 3


async def test_who_is_on_the_way_out_and_whose_block_is_not_proven_is_counted(ward: Ward) -> None:
    await ward.issue("dev-2", "dev-3")
    await shut_out(ward)
    await ward.containment.disable("dev-2", ANN, "stolen")
    await ward.work()
    watch = ContainmentWatch(ward.seen)
    assert await watch.look() == Contained(devices=2, in_progress=2, unverified=1)
    await ward.pass_time()
    assert await watch.look() == Contained(devices=2, in_progress=0, unverified=1)
    await ward.containment.enable("dev-2", BOB, "found")
    assert await watch.look() == Contained(devices=1, in_progress=0, unverified=0)


async def test_the_inventory_of_issued_certificates_goes_before_what_the_device_says_of_itself(ward: Ward) -> None:
    issued, reported = device_pem("dev-1"), device_pem("dev-1")
    await ward.import_leaf("dev-1", issued)
    await ward.report_onboarding("dev-1", reported)
    await ward.containment.disable("dev-1", ANN, "stolen")
    await ward.work()
    assert ward.provisioning.credentials["dev-1"].leaves == (issued, reported)
    assert (await ward.progress()).block is BlockState.BLOCKED


async def test_a_certificate_of_another_device_is_of_no_use(ward: Ward) -> None:
    await ward.report_onboarding("dev-1", device_pem("dev-2"))
    with pytest.raises(NotPossible, match=r"its common name is dev-2, and the registration id dev-1"):
        await ward.containment.disable("dev-1", ANN, "stolen", device_pem("dev-2"))
    await ward.containment.disable("dev-1", ANN, "stolen")
    await ward.work()
    assert ward.provisioning.blocks == {"dev-1": None}


@pytest.mark.parametrize("where", ["subject", "version"])
async def test_a_device_cannot_keep_itself_in_by_a_certificate_that_breaks_its_reader(ward: Ward, where: str) -> None:
    await ward.report_onboarding("dev-1", twisted_pem("dev-1", where))
    with pytest.raises(NotPossible, match="it is no certificate that can be read"):
        await ward.containment.disable("dev-1", ANN, "stolen", twisted_pem("dev-1", where))
    await ward.containment.disable("dev-1", ANN, "stolen")
    await ward.work()
    assert ward.provisioning.blocks == {"dev-1": None}


async def test_a_certificate_that_is_given_later_completes_the_block(ward: Ward) -> None:
    await ward.containment.disable("dev-1", ANN, "stolen")
    await ward.work()
    assert (await ward.progress()).block is BlockState.BLOCKED_UNVERIFIED
    await ward.containment.disable("dev-1", BOB, "found its papers", onboarding_pem("dev-1"))
    await ward.work()
    containment = await ward.progress()
    assert (containment.block, containment.actor, containment.reason) == (BlockState.BLOCKED, ANN, "stolen")
    assert ward.provisioning.blocks == {"dev-1": onboarding_pem("dev-1")}
    entry = await ward.entry(reasons.HISTORY_CREDENTIAL_GIVEN)
    assert (entry["actor"], entry["reason"]) == ("bob", "found its papers")
    assert ward.alerts.types.count(AlertType.DEVICE_DISABLED) == 1


async def test_a_certificate_that_dps_does_not_take_gives_way_to_a_placeholder(ward: Ward) -> None:
    ward.provisioning.refused = {"x509"}
    await shut_out(ward)
    assert ward.provisioning.blocks == {"dev-1": None}
    assert (await ward.progress()).block is BlockState.BLOCKED_UNVERIFIED


async def test_a_device_of_a_symmetric_key_group_is_blocked_by_the_key_that_its_group_derives(ward: Ward) -> None:
    ward.provisioning.groups["fleet"] = "symmetricKey"
    await ward.containment.disable("dev-1", ANN, "stolen")
    await ward.work()
    credential = ward.provisioning.credentials["dev-1"]
    assert (credential.kind, credential.group) == ("symmetricKey", "fleet")
    assert (await ward.progress()).block is BlockState.BLOCKED


async def test_an_enrollment_of_its_own_is_disabled_in_place(ward: Ward) -> None:
    ward.provisioning.add("dev-1")
    await ward.containment.disable("dev-1", ANN, "stolen")
    await ward.work()
    enrollment = ward.provisioning.enrollments["dev-1"]
    assert (enrollment.status, enrollment.mark, enrollment.document) == (Before.DISABLED, "", {"keys": "its own"})
    assert (await ward.progress()).block is BlockState.BLOCKED


async def test_messages_that_wait_for_the_device_are_purged_only_where_that_is_asked_for() -> None:
    for purges, left in ((True, {}), (False, {"dev-1": 3})):
        ward = Ward(purges=purges)
        await ward.issue("dev-1")
        ward.hub.waiting["dev-1"] = 3
        await shut_out(ward)
        assert ward.hub.waiting == left
        assert (reasons.HISTORY_COMMANDS_PURGED in await ward.history()) is purges


async def test_where_there_is_an_adr_namespace_the_device_is_disabled_there_too() -> None:
    registry = FakeRegistry({"dev-1": True, "dev-2": False})
    ward = Ward(registry=registry)
    await ward.issue("dev-1", "dev-2", "dev-3")
    for device_id in ("dev-1", "dev-2", "dev-3"):
        await shut_out(ward, device_id=device_id)
    assert registry.devices == {"dev-1": False, "dev-2": False}
    befores = [(await ward.progress(d)).registry_before for d in ("dev-1", "dev-2", "dev-3")]
    assert befores == [Before.ENABLED, Before.DISABLED, Before.ABSENT]


async def test_an_adr_that_is_down_keeps_no_device_in(ward: Ward) -> None:
    ward = Ward(registry=FakeRegistry({"dev-1": True}, faults=[DOWN]))
    await ward.issue("dev-1")
    await ward.containment.disable("dev-1", ANN, "stolen", onboarding_pem("dev-1"))
    with pytest.raises(InfrastructureFault):
        await ward.work()
    assert ward.hub.identities["dev-1"].status == "disabled"
    assert "dev-1" in ward.provisioning.blocks
    await ward.pass_time()
    assert (await ward.record()).reason == reasons.CONTAINED


async def test_containment_resumes_where_a_fault_stopped_it(ward: Ward) -> None:
    ward.provisioning.faults = [DOWN]
    with pytest.raises(InfrastructureFault):
        await shut_out(ward)
    assert ward.hub.writes == 1
    await ward.containment.advance({"deviceId": "dev-1"})
    assert ward.provisioning.blocks == {"dev-1": onboarding_pem("dev-1")}
    assert ward.hub.writes == 1  # not written a second time


async def test_an_identity_that_changes_under_the_writer_is_read_again(ward: Ward) -> None:
    ward.hub.faults = [Conflict("dev-1")]
    await shut_out(ward)
    assert ward.hub.identities["dev-1"].status == "disabled"


async def test_an_identity_that_changes_without_end_is_a_fault_and_no_loop(ward: Ward) -> None:
    ward.hub.faults = [Conflict("dev-1")] * 100
    with pytest.raises(InfrastructureFault, match="kept changing"):
        await shut_out(ward)


async def test_an_identity_that_somebody_else_has_disabled_keeps_their_reason(ward: Ward) -> None:
    ward.hub.change("dev-1", status="disabled", status_reason="unpaid")
    await shut_out(ward)
    assert ward.hub.identities["dev-1"].status_reason == "unpaid"
    assert (await ward.progress()).identity_before is Before.DISABLED


async def test_a_device_that_only_the_hub_knows_can_be_disabled(ward: Ward) -> None:
    ward.hub.add("dev-9")
    record = await ward.containment.disable("dev-9", ANN, "stolen")
    assert record.state is State.DISABLED
    assert [key for key in ward.table.keys("due!") if key.endswith("dev-9")]


async def test_a_device_that_nobody_knows_cannot_be_disabled(ward: Ward) -> None:
    with pytest.raises(NotFound):
        await ward.containment.disable("dev-9", ANN, "stolen")


async def test_the_bulk_operation_that_asked_stands_in_the_devices_history(ward: Ward) -> None:
    await ward.containment.disable("dev-1", ANN, "stolen", operation_id="op-1")
    await ward.work()
    assert (await ward.entry(reasons.HISTORY_HUB_DISABLED))["operation"] == "op-1"
    [alert] = [a for a in ward.alerts.sent if a.type == AlertType.DEVICE_DISABLED]
    assert alert.data["operationId"] == "op-1"


@pytest.mark.parametrize(
    "reason",
    ["x" * 300, "ü" * 200, "🛰" * 90, "e\u0301" * 90, "👩\u200d🔧" * 40, "👍🏽" * 60],
    ids=["letters", "umlauts", "emoji", "accents", "joined emoji", "skin tones"],
)
def test_a_status_reason_is_cut_at_128_characters_and_never_within_one(reason: str) -> None:
    cut = status_reason(reason)
    assert is_ours(cut)
    units = len(cut.encode("utf-16-le")) // 2
    unit = {"e": 2, "👩": 5, "👍": 4, "🛰": 2}.get(reason[0], 1)
    assert LONGEST - unit < units <= LONGEST
    rest = cut.removeprefix("fleetcert: ")
    whole = {"e": "e\u0301", "👩": "👩\u200d🔧", "👍": "👍🏽"}.get(reason[0], reason[0])
    assert rest == whole * (len(rest) // len(whole))


def test_a_status_reason_that_fits_is_left_as_it_is() -> None:
    assert status_reason("stolen") == "fleetcert: stolen"
