"""Long work over HTTP: what a bulk request would touch, what it touches, and the file of an export."""

from __future__ import annotations

import base64
import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.events import claim, twin_event

from shared import composition
from shared.schemas import ranges

ALL = ("Fleet.Read", "Certificates.Renew", "Devices.Contain")


async def know(*device_ids: str) -> None:
    services = await composition.app.services()
    now = datetime.now(UTC).replace(microsecond=0)
    events = [
        twin_event(
            {"certificate": claim(now, timedelta(days=10 + place))}, device_id=device_id, sequence=place + 1, at=now
        )
        for place, device_id in enumerate(device_ids)
    ]
    await services.recording.record_hub_events(events)


async def post(served: Any, path: str, **body: Any) -> Any:
    return await served.ask("POST", path, served.token(*ALL), json=body)


async def get(served: Any, path: str, **headers: str) -> Any:
    return await served.ask(
        "GET", path, served.token(*ALL), headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


async def ended(served: Any, operation_id: str) -> Any:
    """The operation at its end; steps are made as the queue would."""
    services = await composition.app.services()
    while (shown := (await get(served, f"operations/{operation_id}")).json())["state"] == "running":
        await services.operations.step({"operationId": operation_id})
    return shown


async def test_a_bulk_request_is_a_dry_run_where_nothing_else_is_said(served: Any, ports: Any):
    await know("dev-1", "dev-2")
    before = dict(ports.table.rows)
    answer = await post(served, "bulk/disable", selector={"ids": ["dev-1", "dev-2", "dev-1", "nobody"]}, reason="x")
    assert answer.status_code == 200
    assert ports.table.rows == before
    preview = answer.json()
    assert (preview["matched"], preview["affected"], preview["maxAffected"], preview["exceeds"]) == (3, 3, 50, False)
    assert [device["deviceId"] for device in preview["devices"]] == ["dev-1", "dev-2", "nobody"]
    assert preview["cursor"] is None


@pytest.mark.parametrize("verb", ["renew", "disable"])
async def test_a_bulk_request_that_means_it_is_an_operation(served: Any, ports: Any, verb: str):
    await know("dev-1", "dev-2")
    for device_id in ("dev-1", "dev-2"):
        ports.hub.add(device_id)
    answer = await post(served, f"bulk/{verb}", selector={"state": "valid"}, reason="x", dryRun=False)
    assert answer.status_code == 202
    begun = answer.json()
    assert (begun["kind"], begun["state"], begun["actor"]["name"]) == (f"bulk-{verb}", "running", "ann")
    assert answer.headers["location"] == f"/api/operations/{begun['id']}"
    await (await composition.app.services()).operations.step({"operationId": begun["id"]})
    shown = (await get(served, f"operations/{begun['id']}")).json()
    assert (shown["total"], shown["done"], shown["failed"]) == (2, 2, 0)
    device = (await get(served, "devices/dev-1")).json()
    assert device["command"] is not None if verb == "renew" else device["containment"]["operationId"] == begun["id"]
    listed = (await get(served, "operations")).json()
    assert [operation["id"] for operation in listed["operations"]] == [begun["id"]]


async def test_more_than_may_be_affected_is_a_conflict_and_nothing_begins(served: Any, ports: Any):
    await know("dev-1", "dev-2")
    selector = {"ids": ["dev-1", "dev-2"]}
    dry = await post(served, "bulk/renew", selector=selector, reason="x", maxAffected=1)
    assert (dry.status_code, dry.json()["exceeds"]) == (200, True)
    answer = await post(served, "bulk/renew", selector=selector, reason="x", maxAffected=1, dryRun=False)
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:fleetcert:problem:too-many-affected")
    assert ports.table.keys("op!") == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"selector": {}},
        {"selector": {"tag": "a=b", "state": "valid"}},
        {"selector": {"ids": []}},
        {"selector": {"ids": ["a/b"]}},
        {"selector": {"ids": ["d"] * 1001}},
        {"selector": {"tag": "ab"}},
        {"selector": {"issuer": "CN=policy"}},
        {"selector": {"state": "lost"}},
        {"selector": {"expiringBefore": "soon"}},
        {"selector": {"tag": "a=b"}, "reason": ""},
        {"selector": {"tag": "a=b"}, "maxAffected": 0},
        {"selector": {"tag": "a=b"}, "dryRun": "no"},
        {"selector": {"tag": "a=b"}, "dryRun": False, "cursor": "x"},
    ],
)
async def test_a_bulk_request_that_does_not_fit_is_invalid(served: Any, body: dict[str, Any]):
    answer = await post(served, "bulk/renew", **({"reason": "x"} | body))
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:fleetcert:problem:invalid")


@pytest.mark.parametrize("place", ["s99 ", "s00 audit!x", "fleet key!", "s00 expires!x", "nonsense", "s00 device!\nx"])
async def test_a_dry_runs_cursor_reaches_no_other_rows(served: Any, place: str):
    cursor = base64.urlsafe_b64encode(place.encode()).decode()
    answer = await post(served, "bulk/renew", selector={"tag": "a=b"}, reason="x", cursor=cursor)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:fleetcert:problem:malformed")


async def test_operations_come_page_by_page_the_newest_first(served: Any):
    begun = [(await post(served, "fleet/exports", reason=f"r{n}")).json()["id"] for n in range(5)]
    seen: list[str] = []
    path: str | None = "operations?limit=2"
    while path:
        page = (await get(served, path)).json()
        seen += [operation["id"] for operation in page["operations"]]
        path = f"operations?limit=2&cursor={page['cursor']}" if page["cursor"] else None
    assert sorted(seen) == sorted(begun)
    assert seen == sorted(seen)  # ids of later operations are smaller


async def test_an_operation_that_has_ended_cannot_be_cancelled(served: Any):
    begun = (await post(served, "fleet/exports", reason="x")).json()["id"]
    cancelled = await post(served, f"operations/{begun}/cancel", reason="enough")
    assert (cancelled.status_code, cancelled.json()["cancellation"]["reason"]) == (202, "enough")
    assert (await ended(served, begun))["state"] == "cancelled"
    assert (await post(served, f"operations/{begun}/cancel", reason="again")).status_code == 409


@pytest.mark.parametrize(("path", "status"), [("operations/1", 400), (f"operations/{'0' * 15}-00000000", 404)])
async def test_an_operation_that_there_is_not_is_not_shown(served: Any, path: str, status: int):
    assert (await get(served, path)).status_code == status
    assert (await get(served, f"{path}/content")).status_code == status
    assert (await post(served, f"{path}/cancel", reason="x")).status_code == status


async def test_an_export_is_read_whole_or_in_ranges(served: Any):
    await know("dev-1", "=dev-2")
    begun = await post(served, "fleet/exports", reason="audit", state=["valid"])
    assert begun.status_code == 202
    path = f"operations/{begun.json()['id']}/content"
    assert (await get(served, path)).status_code == 409
    assert (await ended(served, begun.json()["id"]))["result"]["rows"] == "2"
    whole = await get(served, path)
    assert (whole.status_code, whole.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert whole.headers["content-disposition"].startswith("attachment; filename=")
    rows = list(csv.DictReader(io.StringIO(whole.text, newline="")))
    assert [row["deviceId"] for row in rows] == ["dev-1", "'=dev-2"]
    part = await get(served, path, range="bytes=10-19")
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole.content)}"
    assert part.headers["etag"] == whole.headers["etag"]
    rest = await get(served, path, range="bytes=20-")
    assert whole.content[:20] + rest.content == whole.content
    beyond = await get(served, path, range="bytes=9999-")
    assert (beyond.status_code, beyond.json()["type"]) == (416, "urn:fleetcert:problem:range-not-satisfiable")
    assert beyond.headers["content-range"] == f"bytes */{len(whole.content)}"


async def test_a_file_that_memory_should_not_hold_is_given_in_parts_alone(served: Any, ports: Any):
    begun = (await post(served, "fleet/exports", reason="audit")).json()["id"]
    await ended(served, begun)
    content = b"x" * (ranges.MOST + 5)
    ports.exports.files[f"{begun}.csv"] = content
    path = f"operations/{begun}/content"
    refused = await get(served, path)
    assert (refused.status_code, refused.json()["type"]) == (400, "urn:fleetcert:problem:range-required")
    first = await get(served, path, range="bytes=0-")
    assert (first.status_code, len(first.content)) == (206, ranges.MOST)
    assert first.headers["content-range"] == f"bytes 0-{ranges.MOST - 1}/{len(content)}"
    assert len((await get(served, path, range=f"bytes={ranges.MOST}-")).content) == 5


async def test_a_bulk_operation_has_no_file(served: Any):
    begun = (await post(served, "bulk/renew", selector={"tag": "a=b"}, reason="x", dryRun=False)).json()["id"]
    assert (await get(served, f"operations/{begun}/content")).status_code == 409
