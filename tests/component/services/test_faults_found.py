"""Bad days that once broke something, each found by injecting faults: none of them may again."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from support.events import DAY, claim, device_pem, dps_event, dps_record, lifecycle_event, onboarding_pem, twin_event
from support.fakes import NOON, FakeRegistry
from support.faults import Faults, Moment, killed, unavailable
from support.model import ANN, MINUTE, SHARDS, Backend, check_invariants

from shared.domain import keys, reasons
from shared.domain.record import Before, BlockState, State
from shared.errors import FleetcertError
from shared.services.pacing import Budget
from shared.services.ports import Row, Write

HOUR = timedelta(hours=1)


class Rejected(FleetcertError):
    """400: what an adapter's RequestRejected is to the services."""


async def issue(backend: Backend, *device_ids: str, lifetime: timedelta = DAY) -> None:
    for device_id in device_ids:
        backend.cloud.hub.add(device_id)
    await backend.hear(
        [
            twin_event({"certificate": claim(lifetime=lifetime, thumbprint=f"{n:064x}")}, device_id=d, sequence=n)
            for n, d in enumerate(device_ids)
        ]
    )


@pytest.mark.parametrize("at", range(1, 5))
async def test_a_bad_event_is_kept_even_if_the_process_dies_after_its_device_said_something_better(at: int) -> None:
    bad = twin_event({"certificate": claim(thumbprint=None, pem=device_pem("other"))}, sequence=1)
    good = twin_event({"certificate": claim(NOON + HOUR)}, version=3, sequence=2, at=NOON + HOUR)
    backend = Backend(faults=Faults(at=at, answer=killed))
    await backend.hear([bad, good])
    assert list(backend.cloud.dead_letters.kept) == ["iot-events/0/1"]


async def test_an_outage_of_event_grid_does_not_stop_renewals() -> None:
    backend = Backend(faults=Faults(outages={"alerts": unavailable}))
    await issue(backend, "dev-1")
    await backend.run_until(NOON + 19 * HOUR)
    assert backend.cloud.sender.sent != []


async def test_an_outage_of_event_grid_does_not_stop_a_containment() -> None:
    backend = Backend(faults=Faults(outages={"alerts": unavailable}))
    await issue(backend, "dev-1")
    await backend.insist(lambda: backend.containment.disable("dev-1", ANN, "stolen", onboarding_pem("dev-1")))
    await backend.run_until(NOON + 30 * MINUTE)
    assert backend.cloud.hub.identities["dev-1"].status == "disabled"


async def test_an_outage_of_the_command_queue_does_not_stop_alerts() -> None:
    backend = Backend(faults=Faults(outages={"containment": unavailable}))
    await issue(backend, "dev-1", "dev-2")
    await backend.insist(lambda: backend.containment.disable("dev-2", ANN, "stolen", onboarding_pem("dev-2")))
    await backend.run_until(NOON + 19 * HOUR)
    assert backend.cloud.sender.sent != []


async def test_an_alert_that_event_grid_rejects_blocks_no_other_device() -> None:
    backend = Backend()
    real = backend.cloud.alerts.publish

    async def publish(alerts: object) -> None:
        if any(a.subject == "devices/bad" for a in alerts):  # type: ignore[attr-defined]
            raise Rejected("400")
        await real(alerts)  # type: ignore[arg-type]

    backend.cloud.alerts.publish = publish  # type: ignore[method-assign]
    backend.restart()
    await issue(backend, "bad", "dev-1", "dev-2", "dev-3")
    await backend.run_until(NOON + 20.5 * HOUR)
    assert {c.device_id for c, _ in backend.cloud.sender.sent} >= {"dev-1", "dev-2", "dev-3"}
    assert {a.subject for a in backend.cloud.alerts.sent} == {"devices/dev-1", "devices/dev-2", "devices/dev-3"}


async def test_a_record_that_storage_rejects_blocks_no_other_device() -> None:
    backend = Backend()
    names = ["bad", *(f"dev-{n}" for n in range(6))]
    await issue(backend, *names)
    real = backend.cloud.table.commit

    async def commit(partition: str, writes: list[Write]) -> dict[str, str]:
        if any(w.row.key == "device!bad" for w in writes):
            raise Rejected("400 PropertyValueTooLarge")
        return await real(partition, writes)

    backend.cloud.table.commit = commit  # type: ignore[method-assign]
    backend.restart()
    await backend.run_until(NOON + 20.5 * HOUR)
    assert {c.device_id for c, _ in backend.cloud.sender.sent} >= set(names) - {"bad"}


async def test_a_record_that_cannot_be_read_blocks_no_other_device() -> None:
    backend = Backend()
    names = ["bad", *(f"dev-{n}" for n in range(6))]
    await issue(backend, *names)
    place = keys.shard_of("bad", SHARDS)
    row = await backend.cloud.table.get(place, "device!bad")
    assert row is not None
    await backend.cloud.table.commit(place, [Write("upsert", Row(place, row.key, {**row.values, "record": "{}"}))])
    for _ in range(1, 42):
        backend.cloud.clock.advance(HOUR / 2)
        await backend.tick()
    assert {c.device_id for c, _ in backend.cloud.sender.sent} >= set(names) - {"bad"}


async def test_a_placeholder_block_whose_answer_was_lost_stays_unverified() -> None:
    backend = Backend()
    await issue(backend, "dev-1")
    calls = ["dps.create_block"]

    def lost(call: str) -> BaseException | None:
        return unavailable(call)

    clean = Backend()
    await issue(clean, "dev-1")
    clean.faults.calls.clear()
    await clean.insist(lambda: clean.containment.disable("dev-1", ANN, "stolen"))
    await clean.run_until(NOON + HOUR)
    at = clean.faults.calls.index(calls[0]) + 1
    backend.faults = Faults(at=at, moment="after", answer=lost)
    backend.restart()
    await backend.insist(lambda: backend.containment.disable("dev-1", ANN, "stolen"))
    await backend.run_until(NOON + HOUR)
    assert backend.faults.struck == calls
    containment = (await backend.cloud.records())["dev-1"].containment
    assert containment is not None
    assert containment.block is BlockState.BLOCKED_UNVERIFIED
    assert containment.enrollment_before is Before.ABSENT


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_revocation_that_adr_may_not_have_heard_is_asked_for_again_though_the_device_has_renewed(
    moment: Moment,
) -> None:
    async def asked(faults: Faults) -> tuple[Backend, FakeRegistry]:
        backend, registry = Backend(), FakeRegistry({"dev-1": True})
        await issue(backend, "dev-1", lifetime=30 * DAY)
        backend.cloud.registry, backend.faults = registry, faults
        backend.restart()
        await backend.insist(lambda: backend.containment.revoke("dev-1", ANN, "leaked"))
        await backend.tick()
        return backend, registry

    clean, _ = await asked(Faults())
    place = clean.faults.calls.index("adr.revoke") + 1
    backend, registry = await asked(Faults(at=place, moment=moment, answer=killed))
    assert backend.faults.struck == ["adr.revoke"]
    assert registry.revoked == ([] if moment == "before" else ["dev-1"])
    at = backend.cloud.clock.now()
    await backend.hear([twin_event({"certificate": claim(at, thumbprint="ee" * 32)}, version=3, sequence=9, at=at)])
    await backend.run_until(NOON + HOUR)
    record = (await backend.cloud.records())["dev-1"]
    assert registry.revoked == ["dev-1"] * (1 if moment == "before" else 2)
    assert (record.state, record.reason) == (State.EXPIRED, reasons.CERTIFICATE_REVOKED), "it is not taken for good"


async def test_an_evaluation_that_fails_strands_no_alert() -> None:
    backend = Backend(faults=Faults(outages={"alerts": unavailable}))
    await issue(backend, "dev-1")
    backend.cloud.hub.twins["dev-1"] = "nonsense"  # type: ignore[assignment]
    await backend.hear([dps_event(dps_record(), at=NOON + MINUTE)])
    await backend.run_until(NOON + 5 * MINUTE)
    backend.faults.outages.clear()
    await backend.run_until(NOON + 3 * HOUR)
    check_invariants(await backend.cloud.rows())
    assert backend.cloud.alerts.types == ["Fleetcert.Certificate.Issued"]


@pytest.mark.parametrize("end", ["contained", "deleted"])
async def test_a_registration_of_a_device_at_rest_leaves_no_deadline_that_is_due_for_ever(end: str) -> None:
    backend = Backend()
    await issue(backend, "dev-1", lifetime=30 * DAY)
    if end == "contained":
        await backend.insist(lambda: backend.containment.disable("dev-1", ANN, "stolen", onboarding_pem("dev-1")))
    else:
        await backend.hear([lifecycle_event("deleteDeviceIdentity", at=NOON + 20 * MINUTE, sequence=5)])
        del backend.cloud.hub.identities["dev-1"]
    await backend.run_until(NOON + HOUR)
    await backend.hear([dps_event(dps_record(), at=NOON + HOUR)])
    await backend.run_until(NOON + 2 * HOUR)
    due = (await backend.cloud.records())["dev-1"].due_at
    assert due is None or due > backend.cloud.clock.now()


async def test_garbage_in_the_twin_does_not_postpone_a_renewal() -> None:
    backend = Backend()
    await issue(backend, "dev-1")
    backend.cloud.hub.twins["dev-1"] = {"properties": {"reported": {"certificate": "none of your business"}}}
    await backend.hear([dps_event(dps_record(), at=NOON + 15 * HOUR)])
    backend.cloud.clock.advance(15 * HOUR)
    await backend.run_until(NOON + 22 * HOUR)
    record = (await backend.cloud.records())["dev-1"]
    assert record.attempts > 0, record


async def test_a_contained_device_whose_identity_is_created_again_is_disabled_again() -> None:
    backend = Backend()
    await issue(backend, "dev-1", lifetime=30 * DAY)
    await backend.insist(lambda: backend.containment.disable("dev-1", ANN, "stolen", onboarding_pem("dev-1")))
    await backend.run_until(NOON + HOUR)
    backend.cloud.hub.add("dev-1")
    backend.cloud.clock.advance(HOUR)
    await backend.hear([lifecycle_event("createDeviceIdentity", at=NOON + 2 * HOUR, sequence=9)])
    await backend.run_until(NOON + 5 * HOUR)
    assert backend.cloud.hub.identities["dev-1"].status == "disabled"


async def test_a_twin_that_cannot_be_read_holds_back_no_escalation() -> None:
    backend = Backend(faults=Faults(outages={"hub": unavailable}))
    await issue(backend, "dev-1")
    await backend.hear([dps_event(dps_record(), at=NOON + HOUR)])
    await backend.run_until(NOON + 21 * HOUR)
    levels = [a.data.get("level") for a in backend.cloud.alerts.sent if a.data.get("level")]
    assert levels == ["due", "warning"]
    assert backend.cloud.sender.sent != []


async def test_commands_that_are_repeated_after_an_outage_are_paced_too() -> None:
    backend = Backend(
        budget=Budget(per_minute=4, share=Fraction(1, 2)), faults=Faults(outages={"commands": unavailable})
    )
    await issue(backend, *(f"dev-{n}" for n in range(12)))
    backend.cloud.clock.advance(18 * HOUR)
    for _ in range(10):
        await backend.tick()
        backend.cloud.clock.advance(MINUTE)
    backend.faults.outages.clear()
    most = 0
    for _ in range(10):
        before = len(backend.cloud.sender.sent)
        await backend.tick()
        backend.cloud.clock.advance(MINUTE)
        most = max(most, len(backend.cloud.sender.sent) - before)
    assert most <= 3, "two a minute, and one that came late"


async def test_a_device_that_only_dps_told_of_retires_when_its_hub_deletes_it() -> None:
    backend = Backend()
    reported = {"certificate": claim(NOON), "$version": 3, "$metadata": {"$lastUpdated": "2026-11-23T12:00:30Z"}}
    backend.cloud.hub.twins["dev-1"] = {"properties": {"reported": reported}}
    await backend.hear([dps_event(dps_record())])
    await backend.run_until(NOON + HOUR)
    await backend.hear([lifecycle_event("deleteDeviceIdentity", at=NOON + HOUR, sequence=5)])
    assert (await backend.cloud.records())["dev-1"].state is State.RETIRED


async def test_no_command_outlives_its_certificate_however_late_its_slot() -> None:
    backend = Backend(budget=Budget(per_minute=4, share=Fraction(1, 2)))
    await issue(backend, "dev-1", "dev-2", lifetime=5 * MINUTE)
    backend.cloud.clock.advance(4 * MINUTE + timedelta(seconds=50))
    await backend.tick()
    for record in (await backend.cloud.records()).values():
        assert record.command is None or record.command.expires_at <= NOON + 5 * MINUTE


async def test_a_renewal_asked_for_twice_by_an_operator_whose_first_answer_was_lost_costs_no_more_commands() -> None:
    sent = []
    for requests in (1, 2):
        backend = Backend()
        await issue(backend, "dev-1")
        for _ in range(requests):
            await backend.devices.renew("dev-1", ANN, "x")
        await backend.run_until(NOON + 4 * HOUR)
        sent.append([c.command_id for c, _ in backend.cloud.sender.sent])
    assert sent[0] == sent[1]
    assert len(set(sent[0])) == 3, "silence is followed by the next attempt, after 1 and after 2 hours"
