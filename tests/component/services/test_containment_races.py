"""Whoever meets a containment: each race has a winner, and shutting out wins.

Interleavings are exhaustive: the other party acts, to its end, before every single call of the one that is under way,
which then goes on with what it has read before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from support.containing import ANN, BOB, LOOK, Ward
from support.events import claim, dps_event, dps_record, onboarding_pem, twin_event
from support.fakes import FakeRegistry
from support.faults import Killed
from support.meddling import Meddling

from shared.contracts import AlertType
from shared.domain import reasons
from shared.domain.record import Before, BlockState, State
from shared.errors import InfrastructureFault, NotPossible

MINUTE = timedelta(minutes=1)
DEV = {"deviceId": "dev-1"}


async def in_use() -> Ward:
    ward = Ward(registry=FakeRegistry({"dev-1": True}))
    await ward.issue("dev-1")
    return ward


async def disable(ward: Ward) -> None:
    await ward.containment.disable("dev-1", ANN, "stolen", onboarding_pem("dev-1"))


async def shut_out(ward: Ward) -> None:
    await disable(ward)
    await ward.pass_time(3 * LOOK)
    assert (await ward.record()).reason == reasons.CONTAINED


def is_shut_out(ward: Ward) -> bool:
    enrollment = ward.provisioning.enrollments.get("dev-1")
    assert ward.registry is not None
    return (
        ward.hub.identities["dev-1"].status == "disabled"
        and enrollment is not None
        and enrollment.status is Before.DISABLED
        and not ward.registry.devices["dev-1"]
    )


def assert_shut_out_at_hub_and_dps(ward: Ward, when: str) -> None:
    """ADR knows no condition on a change: there the second look puts it right."""
    assert ward.hub.identities["dev-1"].status == "disabled", when
    assert ward.provisioning.enrollments["dev-1"].status is Before.DISABLED, when


def is_let_in(ward: Ward) -> bool:
    assert ward.registry is not None
    return (
        ward.hub.identities["dev-1"].status == "enabled"
        and "dev-1" not in ward.provisioning.enrollments
        and ward.registry.devices["dev-1"]
    )


async def attempt(work: Awaitable[object]) -> None:
    """What the host does: a fault is logged, a death survived, and the message comes again."""
    with suppress(InfrastructureFault, Killed):
        await work


# -- a renewal in flight ----------------------------------------------------------------------------------------------


async def test_a_renewal_that_was_commanded_is_not_sent_any_more() -> None:
    ward = await in_use()
    due = (await ward.record()).due_at
    assert due is not None
    ward.clock.advance(due - ward.clock.now())
    await ward.deadlines.sweep()
    await disable(ward)
    await ward.commands.send(ward.commands_queue.messages[0])
    assert ward.sender.sent == []
    record = await ward.record()
    assert (record.state, record.command) == (State.DISABLED, None)


async def test_a_certificate_that_was_renewed_meanwhile_is_known_and_lets_nobody_in() -> None:
    ward = await in_use()
    await disable(ward)
    later = ward.clock.now()
    renewed = twin_event({"certificate": claim(later, thumbprint="bb" * 32)}, version=3, at=later, sequence=9)
    await ward.recording.record_hub_events([renewed])
    await ward.pass_time(3 * LOOK)
    record = await ward.record()
    assert record.certificate is not None
    assert record.certificate.thumbprint == "bb" * 32
    assert (record.state, record.reason, record.command) == (State.DISABLED, reasons.CONTAINED, None)
    assert is_shut_out(ward)


async def test_a_renewal_by_hand_that_meets_a_disable_asks_for_nothing() -> None:
    """The operator's wish is read before the disable and written after it."""
    for at in range(1, 12):
        ward = await in_use()
        ward.meddling.plan(at, lambda ward=ward: disable(ward))
        with suppress(NotPossible):  # where the disable came first
            await ward.devices.renew("dev-1", BOB, "by hand")
        if not ward.meddling.acting and len(ward.meddling.calls) < at:
            break
        await ward.work()
        for message in ward.commands_queue.messages:
            await ward.commands.send(message)
        record = await ward.record()
        assert (record.state, record.command, record.renewal_request) == (State.DISABLED, None, None)
        assert ward.sender.sent == []
    assert at > 3


# -- a registration in flight -----------------------------------------------------------------------------------------


async def test_a_registration_that_rewrites_the_identity_at_any_moment_lets_nobody_in() -> None:
    calls = await calls_of(disable)
    for at in range(1, calls + 1):
        ward = await in_use()

        async def rewritten(ward: Ward = ward) -> None:
            ward.hub.change("dev-1", status="enabled", status_reason="")

        await disable(ward)
        ward.meddling.plan(at, rewritten)
        await attempt(ward.containment.advance(DEV))
        await ward.pass_time(4 * LOOK)
        assert is_shut_out(ward), f"rewritten before call {at}, {ward.meddling.calls[at - 1]}"
        assert (await ward.record()).reason == reasons.CONTAINED


async def test_an_identity_that_a_registration_brings_into_being_is_disabled_too() -> None:
    ward = await in_use()
    del ward.hub.identities["dev-1"]

    async def born() -> None:
        ward.hub.add("dev-1")

    await disable(ward)
    ward.meddling.plan(5, born)
    await ward.work()
    assert is_shut_out(ward)


async def test_a_registration_that_passed_the_block_is_told_and_the_device_shut_out_again() -> None:
    ward = await in_use()
    await shut_out(ward)
    at = ward.clock.now()
    ward.hub.change("dev-1", status="enabled", status_reason="")
    await ward.recording.record_dps_events([dps_event(dps_record("dev-1", at=at), at=at)])
    unverified = [a for a in ward.alerts.sent if a.type == AlertType.DEVICE_CONTAINMENT_UNVERIFIED]
    assert [a.data["reason"] for a in unverified] == ["the device registered with DPS though it is blocked"]
    await ward.pass_time(4 * LOOK)
    assert is_shut_out(ward)
    assert reasons.HISTORY_REAPPEARED in await ward.history()
    containment = await ward.progress()
    assert (containment.is_verified, containment.block) == (True, BlockState.BLOCKED_UNVERIFIED)


async def test_a_block_that_somebody_removed_is_made_again_when_the_device_registers() -> None:
    ward = await in_use()
    await shut_out(ward)
    del ward.provisioning.enrollments["dev-1"]
    at = ward.clock.now()
    await ward.recording.record_dps_events([dps_event(dps_record("dev-1", at=at), at=at)])
    await ward.pass_time(4 * LOOK)
    assert is_shut_out(ward)
    assert (await ward.progress()).block is BlockState.BLOCKED


async def test_a_device_that_is_connected_again_is_shut_out_again() -> None:
    ward = await in_use()
    await shut_out(ward)
    ward.hub.change("dev-1", status="enabled", status_reason="", connected=True)
    await ward.containment.advance(DEV | {"connectedAt": (ward.clock.now() + MINUTE).isoformat()})
    assert is_shut_out(ward)
    assert (await ward.record()).reason == reasons.CONTAINING
    await ward.pass_time(4 * LOOK)
    assert (await ward.record()).reason == reasons.CONTAINED
    assert ward.alerts.types.count(AlertType.DEVICE_DISABLED) == 1


# -- two at once ------------------------------------------------------------------------------------------------------


async def test_of_two_operators_who_disable_at_once_the_first_is_remembered() -> None:
    ward = await in_use()
    pem = onboarding_pem("dev-1")
    await asyncio.gather(
        ward.containment.disable("dev-1", ANN, "stolen", pem), ward.containment.disable("dev-1", BOB, "lost", pem)
    )
    await ward.pass_time(3 * LOOK)
    assert is_shut_out(ward)
    requests = [kind for kind in await ward.history() if kind == reasons.HISTORY_DISABLE_REQUESTED]
    assert len(requests) == 1
    assert len({a.id for a in ward.alerts.sent if a.type == AlertType.DEVICE_DISABLED}) == 1


async def test_two_workers_on_one_device_do_what_one_would() -> None:
    calls = await calls_of(disable)
    for at in range(1, calls + 1):
        ward = await in_use()
        await disable(ward)
        ward.meddling.plan(at, lambda ward=ward: attempt(ward.containment.advance(DEV)))
        await attempt(ward.containment.advance(DEV))
        assert is_shut_out(ward)
        assert ward.hub.writes == 1, f"before call {at}, {ward.meddling.calls[at - 1]}"
        assert len({a.id for a in ward.alerts.sent if a.type == AlertType.DEVICE_DISABLED}) == 1


async def calls_of(begin: Callable[[Ward], Awaitable[object]], ward: Ward | None = None) -> int:
    """How many calls the work makes that `begin` asks for, undisturbed."""
    ward = ward or await in_use()
    await begin(ward)
    ward.meddling.plan(0, ward.work)
    await ward.containment.advance(DEV)
    return len(ward.meddling.calls)


# -- enable and disable -----------------------------------------------------------------------------------------------


async def enable(ward: Ward) -> None:
    await ward.containment.enable("dev-1", BOB, "found")


LIVES = [1, 2, 3, 4, 5, None]
"""Calls that a worker makes after it was overtaken, before it dies; None: it lives on, and puts right what it meets."""


async def begin(ward: Ward) -> None:
    """An enable, none of whose steps is taken."""
    await shut_out(ward)
    await enable(ward)


async def settle(ward: Ward) -> None:
    """An enable that has undone everything, and is about to look again."""
    await begin(ward)
    await ward.work()
    ward.clock.advance(LOOK)


@pytest.mark.parametrize("survives", LIVES)
@pytest.mark.parametrize("stage", [begin, settle])
async def test_a_disable_that_meets_an_enable_at_any_moment_wins(
    stage: Callable[[Ward], Awaitable[None]], survives: int | None
) -> None:
    """What the enable has read before the disable can undo nothing of it."""
    calls = await calls_of(stage)
    assert calls > 5
    for at in range(1, calls + 1):
        ward = await in_use()
        await stage(ward)

        async def contained(ward: Ward = ward) -> None:
            await disable(ward)
            await ward.containment.advance(DEV)

        ward.meddling.plan(at, contained, survives)
        await attempt(ward.containment.advance(DEV))
        assert_shut_out_at_hub_and_dps(ward, f"disabled before call {at}, {ward.meddling.calls[at - 1]}")
        ward.meddling.plan(0, contained)
        record = await ward.record()
        assert record.containment is not None
        assert record.containment.release is None
        await ward.pass_time(4 * LOOK)
        assert is_shut_out(ward)
        assert (await ward.record()).reason == reasons.CONTAINED


async def test_after_a_disable_that_stopped_an_enable_all_can_still_be_undone() -> None:
    """Whatever was restored by then, what stood there before the first disable is what comes back in the end."""
    ward = await in_use()
    await shut_out(ward)
    for at in range(1, await calls_of(enable, ward) + 1):
        ward = await in_use()
        ward.hub.change("dev-1", status_reason="on probation")
        await shut_out(ward)
        await enable(ward)
        ward.meddling.plan(at, lambda ward=ward: disable(ward))
        await attempt(ward.containment.advance(DEV))
        await ward.pass_time(4 * LOOK)
        assert is_shut_out(ward)
        await enable(ward)
        await ward.pass_time(2 * LOOK)
        assert is_let_in(ward)
        assert ward.hub.identities["dev-1"].status_reason == "on probation"


@pytest.mark.parametrize("survives", LIVES)
async def test_an_enable_that_meets_a_disable_on_its_way_at_any_moment_is_what_was_wanted_last(
    survives: int | None,
) -> None:
    """The containment is verified or not, its worker stands before any call: nothing of it outlasts the release."""
    calls = await calls_of(disable)
    for at in range(1, calls + 1):
        ward = await in_use()
        await disable(ward)

        async def released(ward: Ward = ward) -> None:
            await enable(ward)
            await attempt(ward.containment.advance(DEV))

        ward.meddling.plan(at, released, survives)
        await attempt(ward.containment.advance(DEV))
        ward.meddling.plan(0, released)
        await ward.pass_time(4 * LOOK)
        assert is_let_in(ward), f"enabled before call {at}"
        assert (await ward.record()).containment is None


async def test_enable_during_verification_ends_it() -> None:
    ward = await in_use()
    await disable(ward)
    await ward.work()
    assert (await ward.record()).reason == reasons.CONTAINING
    await enable(ward)
    await ward.pass_time(3 * LOOK)
    record = await ward.record()
    assert record.containment is None
    assert is_let_in(ward)
    assert reasons.HISTORY_DISCONNECTED not in await ward.history()
    assert AlertType.DEVICE_ENABLED in ward.alerts.types


async def test_a_reappearance_that_is_heard_during_an_enable_shuts_nobody_out() -> None:
    ward = await in_use()
    await shut_out(ward)
    await enable(ward)
    at = ward.clock.now() + MINUTE
    await ward.containment.advance(DEV | {"connectedAt": at.isoformat()})
    await ward.recording.record_dps_events([dps_event(dps_record("dev-1", at=at), at=at)])
    await ward.pass_time(2 * LOOK)
    assert is_let_in(ward)


async def test_a_revocation_and_a_disable_at_once_are_both_done() -> None:
    ward = await in_use()
    await ward.containment.revoke("dev-1", BOB, "leaked")
    ward.meddling = Meddling()
    await disable(ward)
    await ward.pass_time(4 * LOOK)
    assert ward.registry is not None
    assert ward.registry.revoked == ["dev-1"]
    assert is_shut_out(ward)
    assert (await ward.record()).reason == reasons.CONTAINED
