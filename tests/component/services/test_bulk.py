"""Many devices at once: the dry run, what bounds it, and the work at the throttles' pace."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from support.containing import ANN, BOB
from support.events import DAY, claim, device_pem, lifecycle_event, twin_event
from support.fakes import NOON
from support.faults import unavailable
from support.model import SHARDS, Backend

from shared.contracts import AlertType
from shared.domain import reasons
from shared.domain.changes import Reduction
from shared.domain.operations import DeviceFailure, Operation, OperationKind, OperationState
from shared.domain.record import DeviceRecord, State
from shared.domain.selecting import MOST_IDS, Selector
from shared.errors import NotPossible, TooManyAffected
from shared.services.issuers import _row as issuer_row
from shared.services.pacing import Budget, disabling
from shared.services.ports import Write
from shared.services.selection import Selection
from shared.services.store import FleetStore

MINUTE = timedelta(minutes=1)
EVERYBODY = Selector(expiring_before=NOON + 365 * DAY)


async def fleet(count: int, budget: Budget | None = None) -> Backend:
    """Devices d00, d01, ... with certificates that end on days 1, 2, ..."""
    backend = Backend(budget=budget)
    names = [f"d{n:02d}" for n in range(count)]
    for name in names:
        backend.cloud.hub.add(name)
    reports = [
        twin_event({"certificate": claim(lifetime=(n + 1) * DAY, thumbprint=f"{n:064x}")}, device_id=name, sequence=n)
        for n, name in enumerate(names)
    ]
    await backend.hear(reports)
    backend.cloud.clock.advance(timedelta(hours=1))
    return backend


def store(backend: Backend) -> FleetStore:
    return FleetStore(backend.cloud.table, SHARDS)


async def change(backend: Backend, device_ids: list[str], **changes: Any) -> None:
    def changed(_: str, record: DeviceRecord | None) -> Reduction | None:
        return Reduction(replace(record, **changes)) if record else None

    await store(backend).update(device_ids, changed)


async def targets(backend: Backend) -> list[str]:
    """What is kept for operations alone."""
    return [row.key async for row in backend.cloud.table.scan("fleet", "target!", "target~")]


async def end_of(backend: Backend, operation: Operation, within: timedelta = timedelta(hours=1)) -> Operation:
    await backend.run_until(backend.cloud.clock.now() + within)
    return await backend.operations.show(operation.id)


async def chosen(backend: Backend, selector: Selector) -> list[str]:
    preview = await backend.bulk.preview("disable", selector)
    return sorted(target.device_id for target in preview.devices)


# -- choosing ---------------------------------------------------------------------------------------------------------


async def test_each_selector_chooses_its_devices() -> None:
    backend = await fleet(6)
    await change(backend, ["d01", "d04"], tags={"site": "bern"})
    await change(backend, ["d02"], enrollment_group="line-2")
    await change(backend, ["d03"], state=State.EXPIRED)
    assert await chosen(backend, Selector(ids=("d00", "d05"))) == ["d00", "d05"]
    assert await chosen(backend, Selector(tag="site=bern")) == ["d01", "d04"]
    assert await chosen(backend, Selector(tag="site=zug")) == []
    assert await chosen(backend, Selector(enrollment_group="line-2")) == ["d02"]
    assert await chosen(backend, Selector(state=State.EXPIRED)) == ["d03"]
    assert await chosen(backend, Selector(expiring_before=NOON + 3 * DAY)) == ["d00", "d01"]


async def test_an_issuing_ca_is_chosen_by_its_key_identifier_or_by_its_certificates_thumbprint() -> None:
    backend = await fleet(1)
    pem = device_pem("signed", lifetime=10 * DAY)
    report = {"certificate": claim(lifetime=10 * DAY, thumbprint=None, pem=pem)}
    await backend.hear([twin_event(report, device_id="signed", sequence=99)])
    certificate = (await backend.cloud.records())["signed"].certificate
    assert certificate is not None
    assert certificate.authority_key_id is not None
    known = read_issuer()
    await backend.cloud.table.commit("fleet", [Write("upsert", issuer_row(known))])
    assert await chosen(backend, Selector(issuer=certificate.authority_key_id)) == ["signed"]
    assert await chosen(backend, Selector(issuer=known.thumbprint.upper())) == ["signed"]
    assert await chosen(backend, Selector(issuer="00" * 20)) == []


def read_issuer() -> Any:
    from cryptography.hazmat.primitives.serialization import Encoding
    from support.events import ISSUER

    from shared.domain.ca_watch import ListedCertificate, Source, read_issuer

    return read_issuer(Source.HUB, ListedCertificate(name="ca", pem=ISSUER.public_bytes(Encoding.PEM).decode()), NOON)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"tag": "site=bern", "state": State.VALID},
        {"ids": ("d00",), "enrollment_group": "fleet"},
        {"tag": "bern"},
        {"issuer": "CN=somebody"},
        {"ids": tuple(f"d{n}" for n in range(MOST_IDS + 1))},
    ],
)
def test_a_selector_is_exactly_one_way_to_choose(members: dict[str, Any]) -> None:
    with pytest.raises(NotPossible):
        Selector(**members)


@pytest.mark.parametrize(
    "selector",
    [
        Selector(ids=("d:1", "d$2")),
        Selector(tag="a=b=c"),
        Selector(enrollment_group="g"),
        Selector(issuer="00ff"),
        Selector(state=State.OVERDUE),
        Selector(expiring_before=NOON),
    ],
)
def test_a_selector_survives_in_the_parameters_of_an_operation(selector: Selector) -> None:
    assert Selector.from_parameters({**selector.to_parameters(), "maxAffected": "50"}) == selector


async def test_retired_devices_are_chosen_by_their_state_alone_and_cannot_be_touched() -> None:
    backend = await fleet(2)
    await backend.hear([lifecycle_event("deleteDeviceIdentity", device_id="d01", at=NOON + DAY, sequence=70)])
    assert await chosen(backend, EVERYBODY) == ["d00"]
    preview = await backend.bulk.preview("disable", Selector(state=State.RETIRED))
    assert [(t.device_id, t.obstacle) for t in preview.devices] == [
        ("d01", "it is retired: the hub has no such device")
    ]


# -- the dry run ------------------------------------------------------------------------------------------------------


async def test_the_dry_run_lists_what_would_be_touched_and_what_speaks_against_it() -> None:
    backend = await fleet(3)
    await backend.containment.disable("d01", BOB, "lost")
    preview = await backend.bulk.preview("renew", Selector(ids=("d00", "d01", "nobody")))
    assert (preview.matched, preview.affected, preview.cursor) == (3, 1, None)
    assert {t.device_id: t.obstacle for t in preview.devices} == {
        "d00": None,
        "d01": "it is disabled",
        "nobody": "it is not known",
    }
    assert await backend.cloud.table.get("fleet", "cursor!ledger") is None  # nothing was done


async def test_the_dry_run_lists_no_more_than_asked_and_counts_all() -> None:
    backend = await fleet(12)
    preview = await backend.bulk.preview("disable", EVERYBODY, limit=5, max_affected=10)
    assert (len(preview.devices), preview.matched, preview.affected, preview.exceeds) == (5, 12, 12, True)


async def test_a_large_fleet_is_looked_through_in_parts() -> None:
    backend = await fleet(20)
    looking = Selection(backend.cloud.table, store(backend))
    found: Counter[str] = Counter()
    cursor, looks = None, 0
    while looks == 0 or cursor is not None:
        part = await looking.look("disable", EVERYBODY, cursor, rows=3)
        found.update(target.device_id for target in part.targets)
        cursor, looks = part.cursor, looks + 1
    assert found == Counter(f"d{n:02d}" for n in range(20))
    assert looks >= 7


# -- what is refused --------------------------------------------------------------------------------------------------


async def test_more_devices_than_allowed_are_refused_before_anything_is_stored() -> None:
    backend = await fleet(4)
    with pytest.raises(TooManyAffected, match="4 devices or more would be touched, and maxAffected is 3") as refused:
        await backend.bulk.start("disable", EVERYBODY, ANN, "recall", max_affected=3)
    assert (refused.value.affected, refused.value.max_affected) == (4, 3)
    assert await backend.operations.page(10) == []


async def test_devices_that_come_to_match_later_are_refused_before_any_is_touched() -> None:
    backend = await fleet(3)
    await change(backend, ["d00"], tags={"site": "bern"})
    begun = await backend.bulk.start("disable", Selector(tag="site=bern"), ANN, "recall", max_affected=1)
    await change(backend, ["d01", "d02"], tags={"site": "bern"})
    ended = await end_of(backend, begun)
    assert (ended.state, ended.done) == (OperationState.FAILED, 0)
    assert "maxAffected is 1" in ended.problem
    assert {i.status for i in backend.cloud.hub.identities.values()} == {"enabled"}
    assert await targets(backend) == []


async def test_a_request_that_is_sent_again_is_the_operation_that_it_began() -> None:
    backend = await fleet(2)
    identifier = backend.operations.new_id()
    begun = await backend.bulk.start("disable", EVERYBODY, ANN, "recall", 2, identifier)
    await backend.hear([twin_event({"certificate": claim(thumbprint="ff" * 32)}, device_id="late", sequence=50)])
    again = await backend.bulk.start("disable", EVERYBODY, ANN, "recall", 2, identifier)  # three match by now
    assert again.id == begun.id


# -- the work ---------------------------------------------------------------------------------------------------------


async def test_a_bulk_disable_shuts_every_device_out_and_each_history_says_who_and_why() -> None:
    backend = await fleet(5)
    begun = await backend.bulk.start("disable", EVERYBODY, ANN, "recall 17")
    assert (begun.kind, begun.actor, begun.reason) == (OperationKind.BULK_DISABLE, ANN, "recall 17")
    ended = await end_of(backend, begun)
    assert (ended.state, ended.total, ended.done, ended.failed) == (OperationState.DONE, 5, 5, 0)
    assert {i.status for i in backend.cloud.hub.identities.values()} == {"disabled"}
    assert len(backend.cloud.provisioning.blocks) == 5
    for row in await store(backend).history("d03", 20):
        if row.values["kind"] in (reasons.HISTORY_DISABLE_REQUESTED, reasons.HISTORY_HUB_DISABLED):
            assert (row.values["actor"], row.values["reason"]) == ("ann", "recall 17")
            assert begun.id in str(row.values["details"])
    alerts = [a for a in backend.cloud.alerts.sent if a.type == AlertType.DEVICE_DISABLED]
    assert {a.data["operationId"] for a in alerts} == {begun.id}
    assert await targets(backend) == []


async def test_a_bulk_disable_keeps_to_the_registrys_throttle_and_is_done_only_when_all_are_out() -> None:
    backend = await fleet(30)  # 12 a minute
    begun = await backend.bulk.start("disable", EVERYBODY, ANN, "recall")
    counts = []
    for _ in range(5):
        await backend.run_until(backend.cloud.clock.now() + MINUTE)
        counts.append(sum(i.status == "disabled" for i in backend.cloud.hub.identities.values()))
    assert counts == [0, 12, 24, 30, 30]  # the first minute begins with the choice
    ended = await end_of(backend, begun)
    assert (ended.state, ended.done) == (OperationState.DONE, 30)


async def test_a_bulk_disable_goes_on_until_the_hub_and_dps_have_been_told_of_each() -> None:
    backend = await fleet(2)
    backend.faults.outages["dps"] = unavailable
    begun = await backend.bulk.start("disable", EVERYBODY, ANN, "recall")
    running = await end_of(backend, begun, 5 * MINUTE)
    assert (running.state, running.done) == (OperationState.RUNNING, 2)
    assert "at it still" in running.problem
    backend.faults.outages.clear()
    backend.cloud.containment.poison.clear()
    ended = await end_of(backend, begun)
    assert ended.state is OperationState.DONE
    assert len(backend.cloud.provisioning.blocks) == 2


async def test_devices_that_cannot_be_touched_are_failures_where_they_were_named_and_skipped_where_not() -> None:
    backend = await fleet(2)
    named = await backend.bulk.start("disable", Selector(ids=("d00", "nobody")), ANN, "recall")
    ended = await end_of(backend, named)
    assert (ended.done, ended.failed) == (1, 1)
    assert ended.failures == (DeviceFailure("nobody", "device 'nobody' is not known"),)
    others = await backend.bulk.start("disable", EVERYBODY, ANN, "recall")
    ended = await end_of(backend, others)
    assert (ended.total, ended.done, ended.failed, ended.result["skipped"]) == (1, 1, 0, "1")


async def test_a_bulk_renew_goes_by_the_ledger_of_commands() -> None:
    backend = await fleet(25, Budget(per_minute=20, share=Fraction(1, 2)))
    backend.cloud.clock.advance(-timedelta(minutes=59))
    await change(backend, [f"d{n:02d}" for n in range(25)], next_deadline=NOON + 300 * DAY)
    begun = await backend.bulk.start("renew", Selector(expiring_before=NOON + 26 * DAY), ANN, "new CA")
    sent = []
    for _ in range(4):
        await backend.run_until(backend.cloud.clock.now() + MINUTE)
        sent.append(len(backend.cloud.sender.sent))
    assert max(after - before for before, after in zip([0, *sent], sent, strict=False)) <= 10
    ended = await end_of(backend, begun, timedelta(minutes=10))
    assert (ended.state, ended.total, ended.done) == (OperationState.DONE, 25, 25)
    assert len({command.device_id for command, _ in backend.cloud.sender.sent}) == 25
    rows = await store(backend).history("d07", 20)
    asked = next(row for row in rows if row.values["kind"] == reasons.HISTORY_RENEWAL_REQUESTED)
    assert (asked.values["actor"], asked.values["reason"]) == ("ann", "new CA")
    assert begun.id in str(asked.values["details"])


async def test_a_device_that_is_shut_out_between_the_choice_and_its_turn_is_not_asked_to_renew() -> None:
    backend = await fleet(2)
    begun = await backend.bulk.start("renew", EVERYBODY, ANN, "new CA")
    await backend.containment.disable("d01", BOB, "stolen")
    ended = await end_of(backend, begun)
    assert (ended.done, ended.failed) == (1, 0)
    assert {command.device_id for command, _ in backend.cloud.sender.sent} == {"d00"}


async def test_a_cancelled_bulk_disable_leaves_the_rest_alone() -> None:
    backend = await fleet(30)
    begun = await backend.bulk.start("disable", EVERYBODY, ANN, "recall")
    await backend.run_until(backend.cloud.clock.now() + MINUTE)
    await backend.operations.cancel(begun.id, BOB, "wrong recall")
    ended = await end_of(backend, begun)
    assert (ended.state, ended.done) == (OperationState.CANCELLED, 12)
    assert sum(i.status == "disabled" for i in backend.cloud.hub.identities.values()) == 12
    assert await targets(backend) == []


def test_the_pace_of_shutting_out_leaves_room_in_both_throttles() -> None:
    assert disabling(100, Fraction(1, 2)).commands == 8  # one unit of S1: six requests a device
    assert disabling(1000, Fraction(1, 2)).commands == 83  # DPS is the narrower one from here on
    assert disabling(5000, Fraction(1, 2)).commands == 83
    assert disabling(1, Fraction(1, 2)).commands == 1
