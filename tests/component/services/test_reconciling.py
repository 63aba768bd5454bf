"""`reconcile` over fakes: what it finds, what it leaves alone, and that no fault makes it lose its way."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from support.events import DAY, claim, device_pem, lifecycle_event, onboarding_pem, twin_event
from support.fakes import NOON
from support.inventories import leaf
from support.reconciling import Fleet, twin

from shared.contracts import AlertType
from shared.domain import keys, passes, reasons
from shared.domain.containing import Plan, Step, next_step
from shared.domain.inventory import EnrollmentGroup, Registration
from shared.domain.passes import Phase
from shared.domain.record import Actor, Evidence, State
from shared.errors import InfrastructureFault, Throttled
from shared.services.ports import Row, Write
from shared.services.reconciling import ContinuationExpired, Pace

ANN = Actor(name="ann", object_id="o-1")


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def history(fleet: Fleet, device_id: str) -> list[str]:
    """The kinds of a device's history, the newest first."""
    partition = keys.shard_of(device_id, 4)
    low, high = keys.history_range(device_id)
    found = sorted(key for p, key in fleet.table.rows if p == partition and low <= key < high)
    return [str(fleet.table.rows[partition, key].values["kind"]) for key in found]


async def test_a_first_installation_on_3000_devices_needs_nothing_else(fleet: Fleet) -> None:
    ids = [f"d{n:04}" for n in range(3000)]
    fleet.add(*ids, tags={"site": {"city": "Bern"}})
    fleet.groups.add("fleet", *((d, d) for d in ids))
    outcome = await fleet.run()
    assert (outcome.listed, outcome.found, outcome.expected) == (3000, 3000, 3000)
    assert (outcome.unreadable, outcome.gone, outcome.failure) == (0, 0, "")
    record = await fleet.record("d1234")
    assert record.certificate is not None
    assert (record.state, record.certificate.evidence) == (State.VALID, Evidence.REPORTED)
    assert (record.tags, record.enrollment_group, record.issues_certificates) == ({"site.city": "Bern"}, "fleet", True)
    assert record.due_at is not None
    assert len(fleet.table.keys("due!")) == len(fleet.table.keys("expires!")) == 3000


async def test_a_first_installation_does_not_announce_the_whole_fleet(fleet: Fleet) -> None:
    fleet.add("old-1", "old-2")
    await fleet.run()
    assert fleet.alerts.sent == []
    assert history(fleet, "old-1") == [reasons.HISTORY_FOUND]


async def test_a_pass_over_a_fleet_that_is_recorded_writes_no_record(fleet: Fleet) -> None:
    fleet.add("dev-1", "dev-2", tags={"a": 1})
    fleet.groups.add("fleet", ("dev-1", "dev-1"), ("dev-2", "dev-2"))
    await fleet.run()
    etags = {place: row.etag for place, row in fleet.table.rows.items() if place[0] != keys.FLEET_PARTITION}
    for device_id in ("dev-1", "dev-2"):  # other properties were reported since: that is none of our business
        known = fleet.hub.twins[device_id]
        fleet.hub.twins[device_id] = twin(
            device_id, known["properties"]["reported"], version=90, at=NOON, tags={"a": 1}, twin_version=99
        )
    outcome = await fleet.again()
    assert (outcome.unchanged, outcome.repaired, outcome.found) == (2, 0, 0)
    assert {p: r.etag for p, r in fleet.table.rows.items() if p[0] != keys.FLEET_PARTITION} == etags


async def test_a_lost_renewal_is_found_told_and_recorded_with_its_cause(fleet: Fleet) -> None:
    fleet.add("dev-1")
    await fleet.run()
    renewed = {"certificate": claim(NOON, thumbprint="bb" * 32)}
    fleet.hub.twins["dev-1"] = twin("dev-1", renewed, version=3, at=NOON)
    outcome = await fleet.again()
    assert outcome.repaired == 1
    record = await fleet.record("dev-1")
    assert record.certificate is not None
    assert record.certificate.thumbprint == "bb" * 32
    assert fleet.alerts.types == [AlertType.CERTIFICATE_RENEWED]
    assert history(fleet, "dev-1") == [reasons.HISTORY_RENEWED, reasons.HISTORY_FOUND]
    assert any(f"reconcile/{outcome.id}/dev-1" in str(row.values.get("eventId")) for row in fleet.table.rows.values())


async def test_a_list_that_is_older_than_the_record_changes_nothing(fleet: Fleet) -> None:
    fleet.add("dev-1", tags={"line": "old"})
    await fleet.run()
    before = fleet.hub.twins["dev-1"]
    renewed = {"certificate": claim(NOON, thumbprint="bb" * 32)}
    await fleet.recording.record_hub_events([twin_event(renewed, version=3, at=NOON)])
    fleet.hub.twins["dev-1"] = twin("dev-1", renewed, version=3, at=NOON, tags={"line": "new"}, twin_version=9)
    await fleet.again()
    fleet.query.stale["dev-1"] = before
    outcome = await fleet.again()
    assert outcome.repaired == 0
    record = await fleet.record("dev-1")
    assert record.certificate is not None
    assert record.certificate.thumbprint == "bb" * 32
    assert record.tags == {"line": "new"}


async def test_tags_that_no_event_told_are_repaired_and_the_history_says_from_what(fleet: Fleet) -> None:
    fleet.add("dev-1", tags={"site": "Bern"})
    await fleet.run()
    fleet.hub.twins["dev-1"] = {**fleet.hub.twins["dev-1"], "version": 8, "tags": {"site": "Basel"}}
    await fleet.again()
    assert (await fleet.record("dev-1")).tags == {"site": "Basel"}
    entry = next(r for r in fleet.table.rows.values() if r.values.get("kind") == reasons.HISTORY_RECONCILED)
    assert json.loads(str(entry.values["details"])) == {"tags": "site=Basel", "tags.before": "site=Bern"}


async def test_a_deleted_device_is_retired_after_the_hub_itself_confirmed_it(fleet: Fleet) -> None:
    fleet.add("dev-1", "dev-2")
    await fleet.run()
    del fleet.hub.twins["dev-1"]
    fleet.hub.reads = 0
    outcome = await fleet.again()
    assert (outcome.gone, outcome.looked_at, fleet.hub.reads) == (1, 1, 1)
    record = await fleet.record("dev-1")
    assert (record.state, record.reason, record.due_at) == (State.RETIRED, reasons.IDENTITY_DELETED, None)
    assert (await fleet.record("dev-2")).state is State.VALID
    assert (await fleet.again()).looked_at == 0, "what is retired is looked for no more"


async def test_a_device_that_the_list_misses_and_the_hub_has_lives_on(fleet: Fleet) -> None:
    fleet.add("dev-1", "dev-2")
    await fleet.run()
    hidden = fleet.query.hub
    fleet.query.hub = type(hidden)(twins={"dev-2": hidden.twins["dev-2"]})
    outcome = await fleet.again()
    assert (outcome.gone, outcome.looked_at) == (0, 1)
    assert (await fleet.record("dev-1")).state is State.VALID


async def test_devices_of_another_hub_are_left_alone(fleet: Fleet) -> None:
    await fleet.recording.record_hub_events([twin_event({"certificate": claim()}, hub="hub-2")])
    outcome = await fleet.run()
    assert (outcome.looked_at, outcome.gone) == (0, 0)
    assert (await fleet.record("dev-1")).state is State.VALID


async def test_names_of_hubs_ignore_case(fleet: Fleet) -> None:
    await fleet.recording.record_hub_events([twin_event({"certificate": claim()}, hub="Hub-1", at=NOON - DAY)])
    renewed = {"certificate": claim(NOON, thumbprint="bb" * 32)}
    fleet.hub.twins["dev-1"] = twin("dev-1", renewed, version=3, at=NOON)
    assert (await fleet.run()).repaired == 1
    record = await fleet.record("dev-1")
    assert (record.hub, record.incarnation) == ("Hub-1", 1)


async def test_a_device_that_came_again_unheard_begins_a_new_life(fleet: Fleet) -> None:
    fleet.add("dev-1")
    await fleet.run()
    await fleet.recording.record_hub_events([lifecycle_event("deleteDeviceIdentity", at=NOON)])
    fleet.hub.twins["dev-1"] = twin("dev-1", version=1, at=NOON.replace(year=1))  # made again, and silent so far
    outcome = await fleet.again()
    assert outcome.looked_at == 1
    record = await fleet.record("dev-1")
    assert (record.state, record.incarnation) == (State.UNKNOWN, 2)
    assert record.due_at is not None


async def test_a_deletion_that_the_list_does_not_show_yet_stays_a_deletion(fleet: Fleet) -> None:
    fleet.add("dev-1")
    await fleet.run()
    fleet.query.stale["dev-1"] = fleet.hub.twins.pop("dev-1")
    await fleet.recording.record_hub_events([lifecycle_event("deleteDeviceIdentity", at=NOON + DAY)])
    await fleet.again()
    assert (await fleet.record("dev-1")).state is State.RETIRED


async def test_a_twin_that_cannot_be_believed_is_counted_and_its_device_known_all_the_same(fleet: Fleet) -> None:
    fleet.hub.twins["dev-1"] = twin("dev-1", {"certificate": {"validFrom": "yesterday"}})
    fleet.add("dev-2")
    outcome = await fleet.run()
    assert (outcome.unreadable, outcome.found) == (1, 2)
    record = await fleet.record("dev-1")
    assert (record.state, record.certificate) == (State.UNKNOWN, None)
    assert record.due_at is not None


async def test_a_registration_id_that_differs_is_learned_and_the_twin_read_again_by_it(fleet: Fleet) -> None:
    reported = {"certificate": claim(NOON - DAY, thumbprint=None, pem=device_pem("reg-1", NOON - DAY))}
    fleet.hub.twins["dev-1"] = twin("dev-1", reported)
    fleet.groups.add("fleet", ("reg-1", "dev-1"))
    assert (await fleet.run()).unreadable == 1, "the certificate names the registration, which is not known yet"
    record = await fleet.record("dev-1")
    assert record.registration_id == "reg-1"
    assert record.due_at is not None
    assert record.due_at <= fleet.clock.now()
    assert fleet.table.rows[keys.FLEET_PARTITION, keys.registration_key("reg-1")].values["deviceId"] == "dev-1"
    await fleet.again()
    record = await fleet.record("dev-1")
    assert record.certificate is not None
    assert record.certificate.evidence is Evidence.PARSED


async def test_what_dps_knows_of_other_hubs_and_strangers_makes_no_record(fleet: Fleet) -> None:
    fleet.add("dev-1")
    fleet.groups.add("fleet", ("stranger", "stranger"))
    fleet.groups.members["fleet"].append(Registration(registration_id="x", device_id="dev-1", hub="hub-9"))
    await fleet.run()
    assert await fleet.store.load("stranger") is None
    assert (await fleet.record("dev-1")).registration_id == "dev-1"


async def test_a_group_without_a_policy_promises_no_certificate_and_a_group_that_is_gone_is_forgotten(
    fleet: Fleet,
) -> None:
    fleet.add("dev-1", "dev-2")
    fleet.groups.add("plain", ("dev-1", "dev-1"), policy=None)
    fleet.groups.add("issuing", ("dev-2", "dev-2"))
    await fleet.run()
    assert (await fleet.record("dev-1")).issues_certificates is False
    assert (await fleet.record("dev-2")).issues_certificates is True
    assert fleet.table.keys("group!") == ["group!issuing", "group!plain"]
    row = fleet.table.rows[keys.FLEET_PARTITION, "group!issuing"].values
    assert (row["credentialPolicy"], row["attestation"]) == ("default", "x509")
    fleet.groups.groups = [EnrollmentGroup(id="plain", attestation="x509")]
    await fleet.again()
    assert fleet.table.keys("group!") == ["group!plain"]


async def test_an_enrollment_of_its_own_says_of_a_device_whether_certificates_are_issued(fleet: Fleet) -> None:
    fleet.add("dev-1", "dev-2", "dev-3")
    fleet.groups.size = 1
    fleet.groups.alone = [
        Registration(registration_id=d, device_id=d, hub="hub-1", credential_policy=policy)
        for d, policy in (("dev-1", "default"), ("dev-2", None), ("dev-3", "default"))
    ]
    assert (await fleet.run()).registrations == 3
    issuing = [(await fleet.record(f"dev-{n}")).issues_certificates for n in (1, 2, 3)]
    assert issuing == [True, False, True]


async def test_a_pass_tells_records_of_the_leaves_that_waited_for_their_devices(fleet: Fleet) -> None:
    fleet.add("dev-1", "dev-2")
    await fleet.run()
    leaves = {name: leaf(name) for name in ("dev-1", "reg-3")}
    await fleet.leaves.put(list(leaves.values()))
    fleet.add("dev-3")
    fleet.groups.add("fleet", ("reg-3", "dev-3"))
    assert (await fleet.again()).repaired >= 1
    assert (await fleet.record("dev-1")).inventoried == leaves["dev-1"].credential
    assert (await fleet.record("dev-2")).inventoried is None
    await fleet.again()
    assert (await fleet.record("dev-3")).inventoried == leaves["reg-3"].credential
    assert (await fleet.again()).repaired == 0


async def test_no_group_is_passed_over_whatever_its_name_begins_with(fleet: Fleet) -> None:
    fleet.add("dev-1", "dev-2", "dev-3")
    for group, device_id in (("fleet", "dev-1"), ("fleet-2", "dev-2"), ("fleet.2", "dev-3")):
        fleet.groups.add(group, (device_id, device_id))
    assert (await fleet.run()).registrations == 3
    assert [(await fleet.record(f"dev-{n}")).enrollment_group for n in (1, 2, 3)] == ["fleet", "fleet-2", "fleet.2"]


async def test_a_shard_is_searched_to_its_end(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.services.reconciling.ROWS_A_STEP", 2)
    ids = [f"d{n:02}" for n in range(40)]
    fleet.add(*ids)
    await fleet.run()
    for device_id in ids[::3]:
        del fleet.hub.twins[device_id]
    assert (await fleet.again()).gone == len(ids[::3])


async def shut_out(fleet: Fleet, device_id: str) -> None:
    """Disables a device, all steps done."""
    await fleet.containment.disable(device_id, ANN, "stolen", onboarding_pem(device_id))
    for _ in range(3):
        await fleet.containment.advance({"deviceId": device_id})
        fleet.clock.advance(timedelta(minutes=6))
    contained = (await fleet.record(device_id)).containment
    assert contained is not None
    assert contained.is_verified
    fleet.hub.twins[device_id] = {**fleet.hub.twins[device_id], "status": "disabled"}


def enable_behind_our_back(fleet: Fleet, device_id: str) -> None:
    fleet.hub.identities[device_id] = replace(fleet.hub.identities[device_id], status="enabled")
    fleet.hub.twins[device_id] = {**fleet.hub.twins[device_id], "status": "enabled"}


async def test_a_device_that_somebody_enabled_elsewhere_is_shut_out_again_and_operators_are_told(fleet: Fleet) -> None:
    fleet.add("dev-1")
    await fleet.run()
    await shut_out(fleet, "dev-1")
    enable_behind_our_back(fleet, "dev-1")
    del fleet.provisioning.enrollments["dev-1"]
    fleet.containment_queue.messages.clear()
    outcome = await fleet.again()
    assert outcome.recontained == 1
    assert fleet.containment_queue.messages == [{"deviceId": "dev-1"}]
    assert fleet.alerts.types[-1] == AlertType.DEVICE_CONTAINMENT_UNVERIFIED
    assert reasons.HISTORY_REENABLED in history(fleet, "dev-1")
    contained = (await fleet.record("dev-1")).containment
    assert contained is not None
    assert next_step(contained, Plan()) is Step.DISABLE_IDENTITY
    await fleet.containment.advance({"deviceId": "dev-1"})
    assert fleet.hub.identities["dev-1"].status == "disabled"
    assert "dev-1" in fleet.provisioning.blocks


async def test_a_contained_device_that_only_a_list_of_yesterday_shows_enabled_is_left_alone(fleet: Fleet) -> None:
    fleet.add("dev-1")
    await fleet.run()
    fleet.query.stale["dev-1"] = fleet.hub.twins["dev-1"]
    await shut_out(fleet, "dev-1")
    outcome = await fleet.again()
    assert (outcome.looked_at, outcome.recontained) == (1, 0)
    contained = (await fleet.record("dev-1")).containment
    assert contained is not None
    assert contained.is_verified


async def test_queries_keep_to_our_share_of_the_throttle_in_every_minute(fleet: Fleet) -> None:
    fleet.add(*(f"d{n:03}" for n in range(60)))
    fleet.query.size = 2
    outcome = await fleet.run()
    asked = fleet.query.asked_at
    assert outcome.pages == len(asked) == 30
    assert all(sum(start <= at < start + timedelta(minutes=1) for at in asked) <= 10 for start in asked)
    assert asked[-1] - asked[0] < timedelta(minutes=6), "and use it"


async def test_a_step_ends_in_time_and_the_next_goes_on(fleet: Fleet) -> None:
    fleet.pace = Pace(step=timedelta(seconds=20), share=Fraction(1, 4))
    fleet.compose()
    fleet.add(*(f"d{n:03}" for n in range(10)))
    fleet.query.size = 2
    first = await fleet.reconciling.step()
    assert first is not None
    assert (first.phase, first.pages, first.listed) == (Phase.TWINS, 2, 4)
    assert fleet.clock.now() - NOON < timedelta(seconds=20)
    fleet.compose()  # another instance, which knows nothing but the table
    assert (await fleet.run()).found == 10
    assert len(fleet.query.asked_at) == 5


async def test_a_throttle_is_waited_for_as_long_as_it_says(fleet: Fleet) -> None:
    fleet.add("dev-1")
    fleet.query.answers = [Throttled("IoT hub", timedelta(minutes=10))]
    waiting = await fleet.reconciling.step()
    assert waiting is not None
    assert waiting.next_request_at == NOON + timedelta(minutes=10)
    fleet.clock.advance(timedelta(minutes=1))
    await fleet.reconciling.step()
    assert len(fleet.query.asked_at) == 1
    assert (await fleet.run()).found == 1
    assert fleet.query.asked_at[1] >= NOON + timedelta(minutes=10)


async def test_a_list_that_breaks_off_is_read_again_from_its_start(fleet: Fleet) -> None:
    fleet.add(*(f"d{n}" for n in range(6)))
    fleet.query.size = 2
    fleet.query.answers = [None, None, ContinuationExpired("too old")]
    outcome = await fleet.run()
    assert (outcome.restarts, outcome.listed, outcome.found, outcome.gone) == (1, 6, 6, 0)
    assert outcome.failure == ""


async def test_a_list_that_always_breaks_off_ends_the_pass_and_retires_nobody(fleet: Fleet) -> None:
    fleet.add("dev-1", "dev-2")
    await fleet.run()
    fleet.query.size = 1
    fleet.query.answers = [None, ContinuationExpired("too old")] * 10
    del fleet.hub.twins["dev-1"]
    fleet.add("dev-3")
    outcome = await fleet.again()
    assert "twins" in outcome.failure
    assert outcome.gone == 0
    assert (await fleet.record("dev-1")).state is State.VALID


async def test_a_pass_is_made_once_a_day_and_when_it_is_asked_for(fleet: Fleet) -> None:
    fleet.add("dev-1")
    first = await fleet.run()
    fleet.clock.advance(timedelta(hours=23))
    assert await fleet.reconciling.step() is None
    request = Row(keys.FLEET_PARTITION, passes.REQUEST_KEY, {"requestedAt": fleet.clock.now()})
    await fleet.table.commit(keys.FLEET_PARTITION, [Write("upsert", request)])
    second = await fleet.run()
    assert second.id != first.id
    assert await fleet.reconciling.step() is None, "a request is answered once"
    assert (await fleet.again()).id != second.id


async def test_no_mark_outlives_its_pass(fleet: Fleet) -> None:
    fleet.add(*(f"d{n}" for n in range(500)))
    fleet.query.size = 3
    await fleet.run()
    assert fleet.table.keys("pass!") == []


async def test_two_instances_do_not_go_on_with_one_pass(fleet: Fleet) -> None:
    fleet.add("dev-1")

    async def meanwhile() -> None:
        row = fleet.table.rows[keys.FLEET_PARTITION, passes.CURSOR_KEY]
        await fleet.table.commit(keys.FLEET_PARTITION, [Write("upsert", row)])

    async def page(continuation: str | None) -> Any:
        await meanwhile()
        return [], None

    fleet.query.page = page  # type: ignore[method-assign]
    assert await fleet.reconciling.step() is None


def outcome_of(fleet: Fleet) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """The devices' rows, without what tells when they were written."""
    rows = {place: row for place, row in fleet.table.rows.items() if place[0] != keys.FLEET_PARTITION}
    return {place: _timeless(row.values) for place, row in rows.items() if place[1].startswith(("device!", "expires!"))}


def _timeless(values: Mapping[str, Any]) -> dict[str, Any]:
    if "record" not in values:
        return dict(values)
    record = json.loads(values["record"])
    fading = ("updated_at", "first_seen", "twin_updated_at", "next_deadline", "look_at", "incarnation_since")
    kept = {name: value for name, value in record.items() if name not in fading}
    for member in ("certificate", "containment"):
        if kept[member]:
            kept[member] = {n: v for n, v in kept[member].items() if n != "first_seen" and not n.endswith("_at")}
    return kept


async def troubled() -> Fleet:
    """A fleet with everything that a pass can find."""
    fleet = Fleet()
    fleet.add("gone", "enabled-elsewhere", "renewed", "untouched")
    fleet.groups.add("fleet", ("gone", "gone"), ("untouched", "untouched"))
    await fleet.run()
    await shut_out(fleet, "enabled-elsewhere")
    enable_behind_our_back(fleet, "enabled-elsewhere")
    del fleet.hub.twins["gone"]
    fleet.hub.twins["renewed"] = twin("renewed", {"certificate": claim(NOON, thumbprint="bb" * 32)}, version=3, at=NOON)
    fleet.add("unheard-of", tags={"a": "b"})
    fleet.groups.add("later", ("registration", "untouched"), policy=None)
    fleet.query.size = 2
    fleet.groups.size = 1
    fleet.clock.advance(DAY)
    fleet.alerts.sent.clear()
    return fleet


async def run_through_faults(fleet: Fleet, breaks: Callable[[], str | None]) -> None:
    """Ticks with a new instance each, until the table says that another pass is finished."""
    cursor, begun_at = (keys.FLEET_PARTITION, passes.CURSOR_KEY), fleet.clock.now()
    fleet.breaks = breaks
    for _ in range(10):
        fleet.compose()
        with suppress(InfrastructureFault):
            await fleet.reconciling.step()
        fleet.clock.advance(timedelta(minutes=2))
        if fleet.table.rows[cursor].values.get("finishedAt", begun_at) > begun_at:
            return
    raise AssertionError("the pass does not end")


@pytest.mark.parametrize("how", ["before", "after"])
async def test_a_fault_at_any_step_changes_nothing_in_the_end(how: str) -> None:
    calm = await troubled()
    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1

    await run_through_faults(calm, count)
    assert told(calm) == {
        (AlertType.CERTIFICATE_RENEWED, "devices/renewed"): 1,
        (AlertType.DEVICE_CONTAINMENT_UNVERIFIED, "devices/enabled-elsewhere"): 1,
    }
    assert calls > 50
    for place in range(calls):
        fleet, left = await troubled(), iter([None] * place + [how])
        await run_through_faults(fleet, lambda left=left: next(left, None))
        assert told(fleet) == told(calm), f"call {place}"
        assert without_outbox(outcome_of(fleet)) == without_outbox(outcome_of(calm)), f"call {place}"
        assert fleet.table.keys("pass!") == []


def told(fleet: Fleet) -> Counter[tuple[str, str]]:
    """How many different alerts of a kind and subject were sent, or wait in an outbox."""
    sent = {(alert.id, alert.type, alert.subject) for alert in fleet.alerts.sent}
    records = [json.loads(str(row.values["record"])) for row in fleet.table.rows.values() if "record" in row.values]
    waiting = {(alert["id"], alert["type"], alert["subject"]) for record in records for alert in record["pending"]}
    return Counter((kind, subject) for _, kind, subject in sent | waiting)


def without_outbox(rows: Mapping[tuple[str, str], Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """What an outbox that was not confirmed still holds is sent by the sweep."""
    return {place: {n: v for n, v in r.items() if n not in ("pending", "dispatch_by")} for place, r in rows.items()}
