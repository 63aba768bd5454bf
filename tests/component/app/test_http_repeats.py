"""Requests that come again: by their idempotency key, after a crash, and with the version that their caller knew."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.events import claim, twin_event
from support.fakes import FakeRegistry

from shared import composition
from shared.errors import InfrastructureFault
from shared.services.ports import Write

ALL = ("Fleet.Read", "Certificates.Renew", "Devices.Contain")
BULK = {"selector": {"tag": "a=b"}, "reason": "x", "dryRun": False}


async def know(*device_ids: str) -> None:
    services = await composition.app.services()
    now = datetime.now(UTC).replace(microsecond=0)
    events = [
        twin_event({"certificate": claim(now, timedelta(days=30))}, device_id=device_id, sequence=place, at=now)
        for place, device_id in enumerate(device_ids)
    ]
    await services.recording.record_hub_events(events)


async def post(served: Any, path: str, body: object, key: str | None = "k-1", **request: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return await served.ask("POST", path, served.token(*ALL), json=body, headers=headers, **request)


def crashed(ports: Any) -> None:
    """As if who worked on the last request had died after its effect: a claim without an answer, and its lease over."""
    [(place, row)] = [item for item in ports.table.rows.items() if item[0][1].startswith("key!")]
    held = {name: value for name, value in row.values.items() if name in ("id", "request", "claimedAt")}
    past = datetime.now(UTC) - timedelta(seconds=1)
    ports.table.rows[place] = replace(row, values={**held, "leaseUntil": past})


def kinds(ports: Any) -> list[str]:
    return sorted(str(r.values["kind"]) for (_, key), r in ports.table.rows.items() if key.startswith("history!"))


def audited(ports: Any) -> list[str]:
    return sorted(str(r.values["kind"]) for (_, key), r in ports.table.rows.items() if key.startswith("audit!"))


async def test_the_same_request_with_its_key_is_done_once_and_answered_alike(served: Any, ports: Any):
    await know("dev-1")
    first = await post(served, "devices/dev-1/renew", {"reason": "x"})
    again = await post(served, "devices/dev-1/renew", {"reason": "x"})
    assert (again.status_code, again.content) == (first.status_code, first.content) == (202, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    assert kinds(ports).count("renewalRequested") == 1


async def test_without_a_key_the_same_request_is_two(served: Any, ports: Any):
    for _ in range(2):
        assert (await post(served, "bulk/renew", BULK, key=None)).status_code == 202
    assert len(ports.table.keys("op!")) == 2


async def test_a_refusal_is_remembered_as_an_answer(served: Any):
    refused = await post(served, "devices/dev-1/renew", {"reason": "x"})
    assert refused.status_code == 404
    await know("dev-1")
    assert (await post(served, "devices/dev-1/renew", {"reason": "x"})).content == refused.content
    assert (await post(served, "devices/dev-1/renew", {"reason": "x"}, "k-2")).status_code == 202


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("devices/dev-1/renew", {"reason": "another"}),
        ("devices/dev-2/renew", {"reason": "x"}),
        ("devices/dev-1/disable", {"reason": "x"}),
    ],
)
async def test_a_key_with_another_request_is_refused(served: Any, path: str, body: dict[str, str]):
    await know("dev-1", "dev-2")
    await post(served, "devices/dev-1/renew", {"reason": "x"})
    answer = await post(served, path, body)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:fleetcert:problem:key-reused")


@pytest.mark.parametrize("key", ["", "a b", "ä", "x" * 256])
async def test_a_key_that_is_none_is_malformed(served: Any, key: str):
    headers = {"Idempotency-Key": key.encode()}
    answer = await served.ask("POST", "fleet/resume", served.token(*ALL), json={"reason": "x"}, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:fleetcert:problem:malformed")


async def test_a_fault_is_no_answer_and_the_key_may_be_used_again(served: Any, ports: Any):
    await know("dev-1")
    ports.table.faults = [None, InfrastructureFault("table", "down")]  # the claim is written, the request is not
    assert (await post(served, "devices/dev-1/renew", {"reason": "x"})).status_code == 503
    assert (await post(served, "devices/dev-1/renew", {"reason": "x"})).status_code == 202


async def test_two_at_once_with_one_key_are_one(served: Any, ports: Any):
    answers = await asyncio.gather(*(post(served, "bulk/disable", BULK) for _ in range(8)))
    assert {answer.status_code for answer in answers} <= {202, 409}
    told = {answer.json()["id"] for answer in answers if answer.status_code == 202}
    assert (len(told), len(ports.table.keys("op!"))) == (1, 1)
    for answer in answers:
        if answer.status_code == 409:
            assert answer.json()["type"] == "urn:fleetcert:problem:in-flight"
            assert int(answer.headers["retry-after"]) > 0


async def test_who_died_after_beginning_an_operation_is_followed_by_the_same_operation(served: Any, ports: Any):
    first = await post(served, "bulk/disable", BULK)
    crashed(ports)
    again = await post(served, "bulk/disable", BULK)
    assert again.json()["id"] == first.json()["id"]
    assert len(ports.table.keys("op!")) == 1


async def test_who_died_after_suppressing_is_followed_without_suppressing_twice(served: Any, ports: Any):
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"alertType": "*", "device": "dev-1", "until": until, "reason": "x"}
    first = await post(served, "fleet/suppressions", body)
    crashed(ports)
    assert (await post(served, "fleet/suppressions", body)).json() == first.json()
    assert len(ports.table.keys("suppression!")) == 1


async def test_who_died_after_lifting_is_followed_by_what_was_lifted(served: Any, ports: Any):
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"alertType": "*", "device": "dev-1", "until": until, "reason": "x"}
    lift = f"fleet/suppressions/{(await post(served, 'fleet/suppressions', body, None)).json()['id']}/lift"
    first = await post(served, lift, {"reason": "over"})
    assert (first.status_code, audited(ports).count("suppressionLifted")) == (200, 1)
    crashed(ports)
    assert (await post(served, lift, {"reason": "over"})).json() == first.json()
    assert (await post(served, lift, {"reason": "over"}, "k-2")).status_code == 404
    assert audited(ports).count("suppressionLifted") == 1


async def test_who_died_after_pausing_is_followed_without_an_entry_more(served: Any, ports: Any):
    body = {"until": (datetime.now(UTC) + timedelta(hours=1)).isoformat(), "reason": "x"}
    first = await post(served, "fleet/pause", body)
    crashed(ports)
    assert (await post(served, "fleet/pause", body)).json() == first.json()
    assert audited(ports) == ["renewalsPaused"]


async def test_who_died_after_letting_a_device_in_is_followed_by_what_came_of_it(served: Any, ports: Any):
    await know("dev-1")
    assert (await post(served, "devices/dev-1/enable", {"reason": "x"})).status_code == 409
    crashed(ports)
    again = await post(served, "devices/dev-1/enable", {"reason": "x"})
    assert (again.status_code, again.json()["containment"]) == (202, None)


async def test_who_died_after_asking_for_a_renewal_is_followed_without_asking_twice(served: Any, ports: Any):
    await know("dev-1")
    await post(served, "devices/dev-1/renew", {"reason": "x"})
    crashed(ports)
    assert (await post(served, "devices/dev-1/renew", {"reason": "x"})).status_code == 202
    assert kinds(ports).count("renewalRequested") == 1
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    renewed = {"certificate": claim(later, timedelta(days=30), thumbprint="bb" * 32)}
    services = await composition.app.services()
    await services.recording.record_hub_events([twin_event(renewed, sequence=9, version=3, at=later)])
    crashed(ports)
    answer = await post(served, "devices/dev-1/renew", {"reason": "x"})
    assert (answer.status_code, answer.json()["state"], answer.json()["command"]) == (202, "valid", None)


@pytest.mark.parametrize("lost", ["the process", "the table's answer"])
async def test_who_died_after_asking_for_a_revocation_is_followed_without_revoking_what_was_issued_since(
    served: Any, ports: Any, monkeypatch: pytest.MonkeyPatch, lost: str
):
    ports.registry = FakeRegistry({"dev-1": True})
    await know("dev-1")
    services = await composition.app.services()
    if lost == "the process":
        await post(served, "devices/dev-1/revoke", {"reason": "leaked"})
        crashed(ports)
    else:
        answer_is_lost(ports, monkeypatch)
        assert (await post(served, "devices/dev-1/revoke", {"reason": "leaked"})).status_code == 503
    await services.containment.advance({"deviceId": "dev-1"})
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    renewed = {"certificate": claim(later, timedelta(days=30), thumbprint="bb" * 32)}
    await services.recording.record_hub_events([twin_event(renewed, sequence=9, version=3, at=later)])
    again = await post(served, "devices/dev-1/revoke", {"reason": "leaked"})
    await services.containment.advance({"deviceId": "dev-1"})
    assert (again.status_code, again.json()["revocation"]["reason"]) == (202, "leaked")
    assert ports.registry.revoked == ["dev-1"]
    assert kinds(ports).count("revokeRequested") == 1
    assert (await post(served, "devices/dev-1/revoke", {"reason": "leaked"}, "k-2")).status_code == 202
    await services.containment.advance({"deviceId": "dev-1"})
    assert ports.registry.revoked == ["dev-1", "dev-1"]


def answer_is_lost(ports: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the first write of a device's record: it is made, and who made it hears of a failure."""
    real = ports.table.commit

    async def commit(partition: str, writes: Sequence[Write]) -> Mapping[str, str]:
        etags: Mapping[str, str] = await real(partition, writes)
        if any(write.row.key == "device!dev-1" for write in writes):
            monkeypatch.setattr(ports.table, "commit", real)
            raise InfrastructureFault("table", "timed out")
        return etags

    monkeypatch.setattr(ports.table, "commit", commit)


async def version(served: Any, device_id: str = "dev-1") -> str:
    answer = await served.ask("GET", f"devices/{device_id}", served.token(*ALL))
    return str(answer.headers["etag"])


@pytest.mark.parametrize("verb", ["renew", "disable"])
async def test_a_mutation_of_a_version_that_stands_is_done_and_of_another_is_not(served: Any, ports: Any, verb: str):
    await know("dev-1")
    known, before = await version(served), dict(ports.table.rows)
    for other in ('"0123"', f"W/{known}", '"a", "b"'):
        answer = await served.ask(
            "POST", f"devices/dev-1/{verb}", served.token(*ALL), json={"reason": "x"}, headers={"If-Match": other}
        )
        assert (answer.status_code, answer.json()["type"]) == (412, "urn:fleetcert:problem:precondition-failed")
    assert ports.table.rows == before
    headers = {"If-Match": f'"0123", {known}'}
    answer = await served.ask(
        "POST", f"devices/dev-1/{verb}", served.token(*ALL), json={"reason": "x"}, headers=headers
    )
    assert answer.status_code == 202
    assert answer.headers["etag"] == await version(served) != known


async def test_any_version_is_one_and_none_is_none(served: Any):
    await know("dev-1")
    for device_id, status in (("dev-1", 202), ("nobody", 412)):
        answer = await served.ask(
            *("POST", f"devices/{device_id}/renew", served.token(*ALL)), json={"reason": "x"}, headers={"If-Match": "*"}
        )
        assert answer.status_code == status
    answer = await served.ask(
        *("POST", "devices/dev-1/renew", served.token(*ALL)), json={"reason": "x"}, headers={"If-Match": "unquoted"}
    )
    assert answer.status_code == 400


async def test_no_more_operations_are_begun_than_may_be_under_way(served: Any):
    for number in range(20):
        assert (await post(served, "bulk/renew", BULK, f"k-{number}")).status_code == 202
    refused = await post(served, "bulk/renew", BULK, "k-20")
    assert (refused.status_code, refused.json()["type"]) == (429, "urn:fleetcert:problem:limit-reached")
    assert refused.headers["retry-after"] == "60"
    dry = await post(served, "bulk/renew", {**BULK, "dryRun": True}, "k-21")
    assert dry.status_code == 200
    services = await composition.app.services()
    [newest, *_] = await services.operations.page(1)
    await served.ask("POST", f"operations/{newest.id}/cancel", served.token(*ALL), json={"reason": "x"})
    await services.operations.step({"operationId": newest.id})
    assert (await post(served, "bulk/renew", BULK, "k-20")).status_code == 202  # a refusal for now is not remembered
