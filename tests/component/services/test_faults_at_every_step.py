"""A fault at every single call of a port, one run each: afterwards nothing is lost, doubled or left behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from support.events import (
    DAY,
    claim,
    device_pem,
    dps_event,
    dps_record,
    hub_event,
    lifecycle_event,
    onboarding_pem,
    twin_event,
)
from support.fakes import NOON, FakeRegistry
from support.faults import Answer, Faults, Moment, killed, unavailable
from support.feedback import answer as feedback
from support.model import ANN, MINUTE, Backend, check_invariants, essence

from shared.domain import keys
from shared.domain.operations import operation_id
from shared.domain.selecting import Selector
from shared.errors import Conflict, Throttled
from shared.services.operation_rows import OperationRows

HOUR = timedelta(hours=1)
OTHERS_PEM = device_pem("somebody-else")
READS = ("table.get", "table.get_many", "table.scan", "hub.get_twin", "hub.get_identity", "dps.group_attestation")
READS += ("feedback.receive", "dps.enrollment", "dps.enrollment_group_of", "adr.find", "adr.outcome")
BULK = operation_id(NOON, "00000000")

type Work = Callable[[Backend], Awaitable[None]]


@dataclass(frozen=True)
class Story:
    """What a fleet and its operators have in the end."""

    records: Mapping[str, Mapping[str, object]]
    alerts: frozenset[tuple[str | None, ...]]
    commands: frozenset[str]
    history: Counter[tuple[str, str, str]]
    dead_letters: Mapping[str, str]
    identities: Mapping[str, str]
    blocks: Mapping[str, str | None]
    registry: Mapping[str, bool]
    revoked: frozenset[str]
    operations: tuple[tuple[object, ...], ...]


async def told(backend: Backend) -> Story:
    """The story, once what has to hold in any case was checked."""
    cloud = backend.cloud
    rows = await cloud.rows()
    check_invariants(rows)
    assert cloud.commands.poison == cloud.containment.poison == cloud.operations.poison == []
    left = [row.key async for row in cloud.table.scan(keys.FLEET_PARTITION, "running!", "target~")]
    assert left == [], "an operation has left something behind"
    ids: dict[tuple[str | None, ...], set[str]] = {}
    for alert in cloud.alerts.sent:
        ids.setdefault((alert.type, alert.subject, alert.data.get("thumbprint"), alert.data.get("level")), set()).add(
            alert.id
        )
    assert all(len(found) == 1 for found in ids.values()), "an alert left under two ids"
    history = [row.values for row in rows if row.key.startswith("history!")]
    return Story(
        records={d: essence(r) for d, r in (await cloud.records()).items()},
        alerts=frozenset(ids),
        commands=frozenset(command.command_id for command, _ in cloud.sender.sent),
        history=Counter((str(v["deviceId"]), str(v["kind"]), str(v["reason"])) for v in history),
        dead_letters=dict(cloud.dead_letters.kept),
        identities={d: identity.status for d, identity in cloud.hub.identities.items()},
        blocks=dict(cloud.provisioning.blocks),
        registry=dict(cloud.registry.devices) if cloud.registry else {},
        revoked=frozenset(cloud.registry.revoked if cloud.registry else ()),
        operations=tuple(
            (o.kind, o.state, o.total, o.done, o.failed, o.failures, dict(o.result), o.problem)
            for o in await OperationRows(cloud.table).page(10)
        ),
    )


async def issue(backend: Backend, *device_ids: str, lifetime: timedelta = 30 * DAY) -> None:
    reports = [
        twin_event({"certificate": claim(lifetime=lifetime, thumbprint=f"{n:064x}")}, device_id=d, sequence=n)
        for n, d in enumerate(device_ids)
    ]
    for device_id in device_ids:
        backend.cloud.hub.add(device_id)
    await backend.hear(reports)


async def nothing(backend: Backend) -> None:
    """The story begins with an empty table."""


async def recording(backend: Backend) -> None:
    """Batches of everything: reports, an unclear patch, poison, strangers, registrations, a deletion, replays."""
    dates = {"validFrom": "2026-11-23T12:00:00Z", "validUntil": "2026-12-23T12:00:00Z"}
    reported = {"certificate": {**dates, "thumbprint": "cc" * 32}, "$version": 3}
    twin = {"properties": {"reported": {**reported, "$metadata": {"$lastUpdated": "2026-11-23T12:00:30Z"}}}}
    backend.cloud.hub.twins |= {"unclear": twin, "registered": twin}
    batch = [
        twin_event({"certificate": claim()}, sequence=1),
        twin_event({"certificate": claim(thumbprint="dd" * 32)}, sequence=2, device_id="deleted"),
        hub_event(b'{"certificate": poison', "twinChangeEvents", "updateTwin", sequence=3, device_id="garbled"),
        twin_event({"certificate": dates}, sequence=4, version=3, device_id="unclear"),
        twin_event({"certificate": claim(thumbprint=None, pem=OTHERS_PEM)}, sequence=5, device_id="liar"),
    ]
    renewed = twin_event({"certificate": claim(NOON + HOUR, thumbprint="bb" * 32)}, version=3, sequence=6)
    gone = lifecycle_event("deleteDeviceIdentity", device_id="deleted", sequence=7, at=NOON + HOUR)
    log = {"records": [dps_record("registered"), dps_record("stranger", "ClientError")]}
    await backend.hear(batch)
    await backend.hear([dps_event(log, at=NOON + 2 * MINUTE)])
    await backend.hear([batch[0], renewed, gone])
    await backend.run_until(NOON + HOUR)


async def two_certificates_short_of_their_window(backend: Backend) -> None:
    await issue(backend, "dev-1", "dev-2", lifetime=DAY)
    await backend.run_until(NOON + 15 * HOUR)


async def sweeping_and_sending(backend: Backend) -> None:
    """Both devices are asked; one renews, the other is silent and is asked again."""
    await backend.run_until(NOON + 19 * HOUR)
    at = backend.cloud.clock.now()
    await backend.hear([twin_event({"certificate": claim(at, thumbprint="ee" * 32)}, version=3, sequence=9, at=at)])
    await backend.run_until(at + 5 * MINUTE)


async def a_short_certificate(backend: Backend) -> None:
    await issue(backend, "dev-1", lifetime=6 * HOUR)


async def escalating(backend: Backend) -> None:
    """Nobody answers: warning, critical, expired."""
    await backend.run_until(NOON + 7 * HOUR)


async def a_device_in_use(backend: Backend) -> None:
    await issue(backend, "dev-1")
    backend.cloud.clock.advance(DAY)


async def containing(backend: Backend) -> None:
    """Shut out, and verified."""
    await backend.insist(lambda: backend.containment.disable("dev-1", ANN, "stolen", onboarding_pem("dev-1")))
    await backend.run_until(backend.cloud.clock.now() + HOUR)


async def containing_without_the_credential(backend: Backend) -> None:
    """Shut out by a placeholder, which is told."""
    await backend.insist(lambda: backend.containment.disable("dev-1", ANN, "stolen"))
    await backend.run_until(backend.cloud.clock.now() + HOUR)


async def a_device_that_is_shut_out(backend: Backend) -> None:
    """In an ADR namespace, and verified."""
    backend.cloud.registry = FakeRegistry({"dev-1": True})
    backend.restart()
    await a_device_in_use(backend)
    await containing(backend)


async def enabling(backend: Backend) -> None:
    """Let in again, and asked for a fresh certificate."""
    await backend.insist(lambda: backend.containment.enable("dev-1", ANN, "found"))
    await backend.run_until(backend.cloud.clock.now() + 20 * MINUTE)


async def a_device_of_a_namespace(backend: Backend) -> None:
    backend.cloud.registry = FakeRegistry({"dev-1": True})
    await a_device_in_use(backend)


async def revoking(backend: Backend) -> None:
    """All certificates are revoked, and the device is expected at DPS."""
    await backend.insist(lambda: backend.containment.revoke("dev-1", ANN, "leaked"))
    await backend.run_until(backend.cloud.clock.now() + 20 * MINUTE)


async def three_devices_in_use(backend: Backend) -> None:
    await issue(backend, "dev-1", "dev-2", "dev-3")
    backend.cloud.clock.advance(DAY)


async def disabling_many(backend: Backend) -> None:
    """Two are there, one is not known to anybody."""
    chosen = Selector(ids=("dev-1", "dev-2", "nobody"))
    await backend.insist(lambda: backend.bulk.start("disable", chosen, ANN, "recall", operation_id=BULK))
    await backend.run_until(backend.cloud.clock.now() + 20 * MINUTE)


async def renewing_many(backend: Backend) -> None:
    """All that end within a year."""
    chosen = Selector(expiring_before=NOON + 365 * DAY)
    await backend.insist(lambda: backend.bulk.start("renew", chosen, ANN, "new CA", operation_id=BULK))
    await backend.run_until(backend.cloud.clock.now() + 20 * MINUTE)


async def renewing_by_hand(backend: Backend) -> None:
    """An operator asks once; whoever does not hear the answer asks again."""
    await backend.insist(lambda: backend.devices.renew("dev-1", ANN, "key ceremony"))
    await backend.run_until(backend.cloud.clock.now() + 30 * MINUTE)


async def two_commands_on_their_way(backend: Backend) -> None:
    await two_certificates_short_of_their_window(backend)
    await backend.run_until(NOON + 18 * HOUR + 5 * MINUTE)


async def hearing_feedback(backend: Backend) -> None:
    """One command ended unheard and goes out again, the other was taken; somebody else's answer is between them."""
    at = backend.cloud.clock.now()
    ids = {command.device_id: command.command_id for command, _ in backend.cloud.sender.sent}
    backend.cloud.feedback.put(
        feedback(ids["dev-1"], "Expired", device_id="dev-1", at=at), feedback(ids["dev-2"], device_id="dev-2", at=at)
    )
    backend.cloud.feedback.put(feedback(device_id="dev-2", at=at))
    await backend.run_until(at + HOUR)


STORIES: Mapping[str, tuple[Work, Work]] = {
    "recording": (nothing, recording),
    "sweeping and sending": (two_certificates_short_of_their_window, sweeping_and_sending),
    "escalating": (a_short_certificate, escalating),
    "containing": (a_device_in_use, containing),
    "enabling": (a_device_that_is_shut_out, enabling),
    "revoking": (a_device_of_a_namespace, revoking),
    "disabling many": (three_devices_in_use, disabling_many),
    "renewing many": (three_devices_in_use, renewing_many),
    "containing without the credential": (a_device_in_use, containing_without_the_credential),
    "renewing by hand": (a_device_in_use, renewing_by_hand),
    "hearing feedback": (two_commands_on_their_way, hearing_feedback),
}


def killed_at_an_effect(call: str) -> BaseException | None:
    return None if call in READS else killed(call)


def lost_after_its_effect(call: str) -> BaseException | None:
    return None if call in READS else unavailable(call)


CONDITIONAL = ("table.commit", "hub.set_status", "dps.create_block", "dps.set_enrollment_status", "dps.remove")


def lost_race(call: str) -> BaseException | None:
    return Conflict(call) if call in CONDITIONAL else None


def throttled(call: str) -> BaseException | None:
    return Throttled(call, timedelta(seconds=20)) if call.split(".")[0] in ("sender", "hub", "dps", "adr") else None


async def play(story: tuple[Work, Work], faults: Faults) -> Backend:
    """Prepares without a fault, then acts with one."""
    prepare, act = story
    backend = Backend(faults=Faults())
    await prepare(backend)
    backend.faults = faults
    backend.restart()
    await act(backend)
    return backend


async def every_step(story: tuple[Work, Work], answer: Answer, moment: Moment) -> None:
    """Plays the story once for each call that can fail so, and compares its end with that of the undisturbed one."""
    untouched = await play(story, Faults())
    wanted, calls = await told(untouched), untouched.faults.calls
    struck = 0
    for number, call in enumerate(calls, start=1):
        if answer(call) is None:
            continue
        backend = await play(story, Faults(at=number, moment=moment, answer=answer))
        struck += len(backend.faults.struck)
        _compare(await told(backend), wanted, f"{answer.__name__} {moment} call {number}, {call}")
    assert struck > 0, "no call failed: the story proves nothing"


def _compare(found: Story, wanted: Story, where: str) -> None:
    for name in Story.__dataclass_fields__:
        one, other = getattr(found, name), getattr(wanted, name)
        assert one == other, f"{where}: {name}\n{_difference(one, other)}"


def _difference(found: Any, wanted: Any) -> str:
    if isinstance(found, Mapping):
        return "\n".join(
            f"{k}: {found.get(k)}\n   instead of {wanted.get(k)}"
            for k in {*found, *wanted}
            if found.get(k) != wanted.get(k)
        )
    return f"lost {wanted - found}, gained {found - wanted}"


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", STORIES)
async def test_a_process_killed_at_any_effect_leaves_nothing_that_its_successor_does_not_finish(
    name: str, moment: Moment
) -> None:
    await every_step(STORIES[name], killed_at_an_effect, moment)


@pytest.mark.parametrize("name", STORIES)
async def test_a_service_that_fails_at_any_call_delays_and_loses_nothing(name: str) -> None:
    await every_step(STORIES[name], unavailable, "before")


@pytest.mark.parametrize("name", STORIES)
async def test_an_effect_whose_answer_is_lost_is_not_doubled(name: str) -> None:
    await every_step(STORIES[name], lost_after_its_effect, "after")


@pytest.mark.parametrize(
    "name", ["recording", "sweeping and sending", "containing", "enabling", "revoking", "disabling many"]
)
async def test_a_throttle_of_the_hub_or_of_dps_delays_and_loses_nothing(name: str) -> None:
    await every_step(STORIES[name], throttled, "before")


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", STORIES)
async def test_a_lost_race_at_any_write_is_read_and_decided_again(name: str, moment: Moment) -> None:
    await every_step(STORIES[name], lost_race, moment)
