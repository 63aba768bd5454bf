"""Faults that last, come in the middle of a batch, or change what time it is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from support.events import DAY, claim, hub_event, onboarding_pem, twin_event
from support.fakes import NOON
from support.faults import Faults, unavailable
from support.model import ANN, MINUTE, Backend, check_invariants

from shared.contracts import AlertType
from shared.domain import reasons
from shared.domain.record import State
from shared.errors import Throttled

HOUR = timedelta(hours=1)
LIFE = DAY  # window of 8 hours: asked from 16:00 on, warned after 20 hours, critical after 23:12


async def issue(backend: Backend, *device_ids: str) -> None:
    for device_id in device_ids:
        backend.cloud.hub.add(device_id)
    await backend.hear(
        [
            twin_event({"certificate": claim(lifetime=LIFE, thumbprint=f"{n:064x}")}, device_id=d, sequence=n)
            for n, d in enumerate(device_ids)
        ]
    )


def levels(backend: Backend) -> list[str | None]:
    """The escalations that were told, each id once."""
    told = {alert.id: alert.data.get("level") for alert in backend.cloud.alerts.sent}
    return [level for level in told.values() if level]


async def test_an_outage_of_event_grid_loses_and_doubles_no_alert() -> None:
    backend = Backend(faults=Faults(outages={"alerts": unavailable}))
    await issue(backend, "dev-1")
    await backend.run_until(NOON + 23.5 * HOUR)
    assert backend.cloud.alerts.sent == []
    backend.faults.outages.clear()
    await backend.run_until(NOON + 23.9 * HOUR)
    told = backend.cloud.alerts.sent
    assert [alert.type for alert in told].count(AlertType.CERTIFICATE_ISSUED) == 1
    assert levels(backend) == ["due", "warning", "critical"]
    assert len({alert.id for alert in told}) == len(told)
    check_invariants(await backend.cloud.rows())


async def test_a_hub_that_throttles_for_hours_is_asked_again_and_again_under_one_id() -> None:
    def busy(call: str) -> BaseException:
        return Throttled(call, MINUTE)

    backend = Backend(faults=Faults(outages={"sender": busy}))
    await issue(backend, "dev-1")
    await backend.run_until(NOON + 18 * HOUR + 10 * MINUTE)
    command = (await backend.cloud.records())["dev-1"].command
    assert command is not None
    assert backend.cloud.commands.poison == [], "a throttle completes its message"
    backend.faults.outages.clear()
    await backend.run_until(backend.cloud.clock.now() + 2 * MINUTE)
    assert [sent.command_id for sent, _ in backend.cloud.sender.sent] == [command.id]


async def test_a_hub_that_is_down_for_an_hour_costs_an_attempt_and_no_device() -> None:
    backend = Backend(faults=Faults(outages={"sender": unavailable}))
    await issue(backend, "dev-1")
    await backend.run_until(NOON + 18 * HOUR)
    backend.faults.outages.clear()
    await backend.run_until(NOON + 22 * HOUR)
    record = (await backend.cloud.records())["dev-1"]
    assert record.state is State.OVERDUE
    assert record.reason == reasons.COMMAND_IN_FLIGHT
    check_invariants(await backend.cloud.rows())


async def test_storage_that_is_down_for_hours_stops_everything_and_loses_nothing() -> None:
    backend = Backend()
    await issue(backend, "dev-1")
    backend.faults.outages["table"] = unavailable
    await backend.run_until(NOON + 21 * HOUR)
    assert backend.cloud.sender.sent == []
    backend.faults.outages.clear()
    await backend.run_until(NOON + 21 * HOUR + 5 * MINUTE)
    assert len(backend.cloud.sender.sent) == 1
    assert levels(backend) == ["warning"]


async def test_a_queue_that_is_down_holds_its_commands_in_the_table() -> None:
    backend = Backend(faults=Faults(outages={"commands": unavailable}))
    await issue(backend, "dev-1")
    await backend.run_until(NOON + 18 * HOUR)
    assert backend.cloud.sender.sent == []
    backend.faults.outages.clear()
    await backend.run_until(NOON + 18 * HOUR + 5 * MINUTE)
    record = (await backend.cloud.records())["dev-1"]
    assert record.command is not None
    assert {sent.command_id for sent, _ in backend.cloud.sender.sent} == {record.command.id}


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize("starts", [0, 17.5, 19.75, 23.5])
async def test_a_clock_that_jumps_by_an_hour_and_back_ends_in_the_same_fleet(starts: float, hours: int) -> None:
    """The jump begins at different times: before the window, at the commands, at the escalations, at the end."""
    backend = Backend()
    if starts:
        await issue(backend, "dev-1", "dev-2")
        await backend.run_until(NOON + starts * HOUR)
    backend.clock.skew = hours * HOUR
    if not starts:
        await issue(backend, "dev-1", "dev-2")
    await backend.tick()
    await backend.run_until(backend.cloud.clock.now() + 20 * MINUTE)
    backend.clock.skew = timedelta()
    await backend.tick()
    await backend.run_until(NOON + 26 * HOUR)
    records = await backend.cloud.records()
    assert {record.state for record in records.values()} == {State.EXPIRED}
    assert sorted(map(str, levels(backend))) == sorted(["due", "warning", "critical", "expired"] * 2)
    sent = [command.command_id for command, _ in backend.cloud.sender.sent]
    assert len(sent) == len(set(sent)), "the queue delivered each message once"
    assert all(record.attempts <= 5 for record in records.values())
    check_invariants(await backend.cloud.rows())


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_jumps_while_a_device_is_shut_out_delays_its_verification_at_most(hours: int) -> None:
    backend = Backend()
    await issue(backend, "dev-1")
    backend.clock.skew = hours * HOUR
    await backend.insist(lambda: backend.containment.disable("dev-1", ANN, "stolen", onboarding_pem("dev-1")))
    await backend.run_until(NOON + 3 * MINUTE)
    backend.clock.skew = timedelta()
    await backend.run_until(NOON + 2 * HOUR)
    containment = (await backend.cloud.records())["dev-1"].containment
    assert containment is not None
    assert containment.is_verified
    assert backend.cloud.hub.identities["dev-1"].status == "disabled"


@pytest.mark.parametrize("place", range(6))
async def test_a_poison_event_anywhere_in_a_batch_costs_nothing_but_itself(place: int) -> None:
    batch = [
        twin_event({"certificate": claim(thumbprint=f"{n:064x}")}, device_id=f"dev-{n}", sequence=n) for n in range(5)
    ]
    poison = hub_event(b'{"certificate": \xff', "twinChangeEvents", "updateTwin", sequence=99)
    backend = Backend()
    await backend.hear([*batch[:place], poison, *batch[place:]])
    assert set(await backend.cloud.records()) == {f"dev-{n}" for n in range(5)}
    assert list(backend.cloud.dead_letters.kept) == ["iot-events/0/99"]
    check_invariants(await backend.cloud.rows())


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_a_batch_that_comes_again_cut_otherwise_changes_nothing(size: int) -> None:
    events = [
        twin_event(
            {"certificate": claim(NOON + n * HOUR, thumbprint=f"{n:064x}")},
            device_id=f"dev-{n % 3}",
            version=2 + n,
            sequence=n,
            at=NOON + n * HOUR,
        )
        for n in range(7)
    ]
    backend = Backend()
    await backend.hear(events)
    before = await backend.cloud.rows()
    for start in range(0, len(events), size):
        await backend.hear(events[start : start + size])
    assert await backend.cloud.rows() == before
