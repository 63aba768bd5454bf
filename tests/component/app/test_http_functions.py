"""The HTTP API through Microsoft's runtime: who may, what they may send, and what they get."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.events import claim, twin_event

from shared import composition
from shared.domain.envelope import Envelope
from shared.errors import InfrastructureFault

ALL = ("Fleet.Read", "Certificates.Renew", "Devices.Contain")
MUTATIONS = {
    "renew_device": "Certificates.Renew",
    "disable_device": "Devices.Contain",
    "pause_fleet": "Certificates.Renew",
    "resume_fleet": "Certificates.Renew",
    "suppress_alerts": "Certificates.Renew",
    "lift_suppression": "Certificates.Renew",
}
READS = ("list_devices", "show_device", "fleet_summary", "list_rulings")


async def know(*device_ids: str) -> None:
    """Devices with a fresh certificate, recorded as events record them."""
    services = await composition.app.services()
    now = datetime.now(UTC).replace(microsecond=0)
    events: list[Envelope] = [
        twin_event(
            {"certificate": claim(now, timedelta(days=30 + place))}, device_id=device_id, sequence=place + 1, at=now
        )
        for place, device_id in enumerate(device_ids)
    ]
    await services.recording.record_hub_events(events)


@pytest.mark.parametrize("name", [*READS, *MUTATIONS])
async def test_a_caller_whom_the_platform_does_not_know_is_turned_away(fleet_app: Any, name: str):
    answer = await fleet_app.call(name, "POST" if name in MUTATIONS else "GET", device_id="dev-1")
    assert (answer.status, answer.problem) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("name", "method", "role"),
    [
        ("list_devices", "GET", "Fleet.Read"),
        ("show_device", "GET", "Fleet.Read"),
        ("fleet_summary", "GET", "Fleet.Read"),
        ("list_rulings", "GET", "Fleet.Read"),
        ("renew_device", "POST", "Certificates.Renew"),
        ("disable_device", "POST", "Devices.Contain"),
    ],
)
async def test_only_its_own_role_opens_an_operation(fleet_app: Any, headers: Any, name: str, method: str, role: str):
    others = headers(*(other for other in ALL if other != role))
    answer = await fleet_app.call(name, method, device_id="dev-1", headers=others, body={"reason": "test"})
    assert (answer.status, answer.problem) == (403, "forbidden")
    answer = await fleet_app.call(name, method, device_id="dev-1", headers=headers(role), body={"reason": "test"})
    assert answer.status in (200, 404)


async def test_a_principal_is_not_believed_where_the_platform_does_not_authenticate(
    fleet_app: Any, headers: Any, environment: dict[str, str]
):
    environment["WEBSITE_AUTH_ENABLED"] = "False"
    answer = await fleet_app.call("list_devices", headers=headers(*ALL))
    assert answer.status == 401


@pytest.mark.parametrize("name", [*READS, *MUTATIONS])
@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_answered_with_what_is_allowed(fleet_app: Any, headers: Any, name: str, method: str):
    answer = await fleet_app.call(name, method, device_id="dev-1", headers=headers(*ALL))
    assert (answer.status, answer.problem) == (405, "method-not-allowed")
    assert answer.headers["allow"] == ("POST" if name in MUTATIONS else "GET, HEAD")


async def test_a_device_is_shown_with_its_certificate(fleet_app: Any, headers: Any):
    await know("dev-1")
    answer = await fleet_app.call("show_device", device_id="dev-1", headers=headers("Fleet.Read"))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    device = answer.json
    assert (device["deviceId"], device["state"], device["hub"]) == ("dev-1", "valid", "hub-1")
    assert device["certificate"]["thumbprint"] == "aa" * 32
    assert device["certificate"]["validUntil"].endswith("Z")
    assert device["containment"] is None


async def test_an_unknown_device_is_not_found(fleet_app: Any, headers: Any):
    answer = await fleet_app.call("show_device", device_id="nobody", headers=headers("Fleet.Read"))
    assert (answer.status, answer.problem) == (404, "not-found")


@pytest.mark.parametrize("device_id", ["", "a b", "ä", "x" * 129, "a/b", "a\nb"])
async def test_what_iot_hub_would_not_take_as_an_id_is_malformed(fleet_app: Any, headers: Any, device_id: str):
    answer = await fleet_app.call("show_device", device_id=device_id, headers=headers("Fleet.Read"))
    assert (answer.status, answer.problem) == (400, "malformed")


async def test_pages_run_through_the_fleet_by_expiry(fleet_app: Any, headers: Any):
    known = [f"dev-{n}" for n in range(5)]
    await know(*known)
    seen: list[str] = []
    query = {"limit": "2"}
    while query:
        answer = await fleet_app.call("list_devices", headers=headers("Fleet.Read"), query=query)
        assert answer.status == 200
        seen += [device["deviceId"] for device in answer.json["devices"]]
        cursor = answer.json["cursor"]
        query = {"limit": "2", "cursor": cursor} if cursor else {}
    assert seen == known


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "501"},
        {"limit": "-1"},
        {"limit": "many"},
        {"limit": "9" * 5000},
        {"cursor": "???"},
        {"cursor": base64.urlsafe_b64encode(b"device!dev-1").decode()},
    ],
)
async def test_a_page_that_cannot_be_asked_for_is_malformed(fleet_app: Any, headers: Any, query: dict[str, str]):
    answer = await fleet_app.call("list_devices", headers=headers("Fleet.Read"), query=query)
    assert (answer.status, answer.problem) == (400, "malformed")


async def test_a_renewal_is_accepted_and_its_command_queued(fleet_app: Any, headers: Any, ports: Any):
    await know("dev-1")
    answer = await fleet_app.call(
        "renew_device", "POST", device_id="dev-1", headers=headers("Certificates.Renew"), body={"reason": "key leak"}
    )
    assert answer.status == 202
    assert answer.headers["location"] == "/api/devices/dev-1"
    assert answer.json["command"]["reason"] == "requested"
    assert [message["deviceId"] for message in ports.renewal_commands.messages] == ["dev-1"]


async def test_a_containment_is_accepted_under_the_callers_name(fleet_app: Any, headers: Any, ports: Any):
    await know("dev-1")
    answer = await fleet_app.call(
        "disable_device", "POST", device_id="dev-1", headers=headers("Devices.Contain"), body={"reason": "stolen"}
    )
    assert answer.status == 202
    assert answer.json["containment"]["requestedBy"] == "ann"
    assert answer.json["containment"]["reason"] == "stolen"
    assert ports.containment.messages == [{"deviceId": "dev-1"}]


async def test_a_location_escapes_what_a_path_cannot_hold(fleet_app: Any, headers: Any):
    await know("a#b?c%d")
    answer = await fleet_app.call(
        "renew_device", "POST", device_id="a#b?c%d", headers=headers("Certificates.Renew"), body={"reason": "x"}
    )
    assert answer.headers["location"] == "/api/devices/a%23b%3Fc%25d"


async def test_what_the_state_forbids_is_a_conflict(fleet_app: Any, headers: Any, ports: Any):
    ports.hub.add("dev-2")
    disabled = await fleet_app.call(
        "disable_device", "POST", device_id="dev-2", headers=headers("Devices.Contain"), body={"reason": "stolen"}
    )
    assert disabled.status == 202
    answer = await fleet_app.call(
        "renew_device", "POST", device_id="dev-2", headers=headers("Certificates.Renew"), body={"reason": "x"}
    )
    assert (answer.status, answer.problem) == (409, "not-possible")


@pytest.mark.parametrize("name", MUTATIONS)
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_a_mutation_takes_json_only(fleet_app: Any, headers: Any, name: str, content_type: str):
    sent = {**headers(*ALL), "content-type": content_type}
    answer = await fleet_app.call(name, "POST", device_id="dev-1", headers=sent, body=b'{"reason":"x"}')
    assert (answer.status, answer.problem) == (415, "unsupported-media-type")


@pytest.mark.parametrize("name", MUTATIONS)
async def test_a_body_of_more_than_64_kib_is_too_large(fleet_app: Any, headers: Any, name: str):
    body = {"reason": "x" * 70_000}
    answer = await fleet_app.call(name, "POST", device_id="dev-1", headers=headers(*ALL), body=body)
    assert (answer.status, answer.problem) == (413, "too-large")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"reason=x"])
async def test_a_body_that_is_no_json_is_malformed(fleet_app: Any, headers: Any, body: bytes):
    sent = {**headers(*ALL), "content-type": "application/json; charset=utf-8"}
    answer = await fleet_app.call("renew_device", "POST", device_id="dev-1", headers=sent, body=body)
    assert (answer.status, answer.problem) == (400, "malformed")


@pytest.mark.parametrize(
    "body",
    [{}, [], {"reason": ""}, {"reason": "  "}, {"reason": "x" * 257}, {"reason": 1}, {"reason": "x", "force": True}],
)
async def test_a_request_that_does_not_fit_is_invalid(fleet_app: Any, headers: Any, body: object):
    answer = await fleet_app.call("renew_device", "POST", device_id="dev-1", headers=headers(*ALL), body=body)
    assert (answer.status, answer.problem) == (422, "invalid")


async def test_a_service_that_is_away_is_unavailable_and_not_named_in_detail(fleet_app: Any, headers: Any, ports: Any):
    ports.table.faults = [InfrastructureFault("table storage", "https://secret-account.example refused")]
    answer = await fleet_app.call("list_devices", headers=headers("Fleet.Read"))
    assert (answer.status, answer.problem) == (503, "unavailable")
    assert answer.headers["retry-after"] == "5"
    assert b"secret-account" not in answer.body


async def test_a_bug_says_nothing_of_the_inside(fleet_app: Any, headers: Any, ports: Any):
    ports.table.faults = [RuntimeError("inner secret")]
    answer = await fleet_app.call("list_devices", headers=headers("Fleet.Read"))
    assert (answer.status, answer.problem) == (500, "unexpected")
    assert b"inner secret" not in answer.body


async def test_health_is_open_to_everybody(fleet_app: Any):
    answer = await fleet_app.call("health")
    assert (answer.status, answer.json) == (200, {"status": "ok"})


@pytest.mark.parametrize(("setting", "value"), [("IOTHUB_HOSTNAME", ""), ("RENEWAL_SHARE", "2"), ("SHARDS", "x")])
async def test_health_stays_up_and_names_the_setting_that_is_wrong(
    fleet_app: Any, environment: dict[str, str], setting: str, value: str
):
    environment[setting] = value
    answer = await fleet_app.call("health")
    assert (answer.status, answer.problem) == (503, "settings")
    assert answer.json["setting"] == setting


async def test_another_number_of_shards_than_the_tables_is_refused(fleet_app: Any, environment: dict[str, str]):
    assert (await fleet_app.call("health")).status == 200
    environment["SHARDS"] = "16"
    composition.app._services = None
    composition.app.__dict__.pop("settings")
    answer = await fleet_app.call("health")
    assert (answer.status, json.loads(answer.body)["setting"]) == (503, "SHARDS")


async def test_the_summary_shows_the_last_snapshot_and_what_is_due(fleet_app: Any, ports: Any, headers: Any):
    await know("dev-1", "dev-2")
    read = headers("Fleet.Read")
    assert (await fleet_app.call("fleet_summary", headers=read)).json == {"snapshot": None, "due": [], "moreDue": False}
    services = await composition.app.services()
    await services.watching.snapshots.run()
    answer = await fleet_app.call("fleet_summary", headers=read)
    assert answer.status == 200
    assert (answer.json["snapshot"]["total"], answer.json["snapshot"]["states"]) == (2, {"valid": 2})
    assert len(answer.json["snapshot"]["renewals"]) == 30


def in_an_hour() -> str:
    return (datetime.now(UTC) + timedelta(hours=1)).isoformat()


async def test_an_operator_pauses_the_fleet_and_ends_the_pause(fleet_app: Any, headers: Any):
    renew = headers("Certificates.Renew")
    body = {"until": in_an_hour(), "reason": "DPS is down", "tag": "site=bern"}
    assert (await fleet_app.call("pause_fleet", "POST", headers=renew, body=body)).status == 200
    services = await composition.app.services()
    [pause] = (await services.circumstances.current()).pauses
    assert (pause.tag, pause.reason) == ("site=bern", "DPS is down")
    body = {"reason": "it is up again", "tag": "site=bern"}
    assert (await fleet_app.call("resume_fleet", "POST", headers=renew, body=body)).status == 200
    assert (await services.circumstances.current()).pauses == ()


async def test_a_pause_of_the_longest_tag_is_a_pause_too(fleet_app: Any, headers: Any):
    renew, tags = headers("Certificates.Renew"), ["site=" + "\N{PILE OF POO}" * 507, "site=" + "\N{PILE OF POO}" * 506]
    for tag in tags:
        body = {"until": in_an_hour(), "reason": "x", "tag": tag}
        assert (await fleet_app.call("pause_fleet", "POST", headers=renew, body=body)).status == 200
    services = await composition.app.services()
    assert {pause.tag for pause in (await services.circumstances.current()).pauses} == set(tags)


async def test_an_operator_suppresses_alerts_until_an_end(fleet_app: Any, headers: Any):
    body = {"alertType": "*", "device": "dev-1", "until": in_an_hour(), "reason": "on the bench"}
    answer = await fleet_app.call("suppress_alerts", "POST", headers=headers("Certificates.Renew"), body=body)
    assert answer.status == 200
    services = await composition.app.services()
    [suppression] = await services.watching.suppressions.current()
    assert (suppression.device, suppression.reason) == ("dev-1", "on the bench")


async def test_what_stands_is_listed_with_its_author_its_reason_and_its_end(fleet_app: Any, headers: Any):
    renew, read, until = headers("Certificates.Renew"), headers("Fleet.Read"), in_an_hour()
    nothing = {"pauses": [], "suppressions": []}
    assert (await fleet_app.call("list_rulings", headers=read)).json == nothing
    body = {"until": until, "reason": "DPS is down"}
    paused = await fleet_app.call("pause_fleet", "POST", headers=renew, body=body)
    body = {"alertType": "*", "device": "dev-1", "until": until, "reason": "on the bench"}
    suppressed = await fleet_app.call("suppress_alerts", "POST", headers=renew, body=body)
    standing = (await fleet_app.call("list_rulings", headers=read)).json
    [pause], [suppression] = standing["pauses"], standing["suppressions"]
    ann = {"name": "ann", "objectId": "o-1", "appId": "a-1"}
    assert (pause["id"], suppression["id"]) == (paused.json["id"], suppressed.json["id"])
    assert (pause["tag"], pause["reason"], pause["actor"]) == (None, "DPS is down", ann)
    assert (suppression["alertType"], suppression["device"], suppression["actor"]) == ("*", "dev-1", ann)
    assert {pause["until"], suppression["until"]} == {suppressed.json["until"]}
    assert pause["ruledAt"] <= suppression["ruledAt"] < suppression["until"]
    await fleet_app.call("resume_fleet", "POST", headers=renew, body={"reason": "it is up"})
    lifted = await fleet_app.call(
        *("lift_suppression", "POST"),
        headers=renew,
        params={"suppressionId": suppression["id"]},
        body={"reason": "it is over"},
    )
    assert (lifted.status, lifted.json) == (200, {"until": None, "id": suppression["id"]})
    assert (await fleet_app.call("list_rulings", headers=read)).json == nothing


@pytest.mark.parametrize(
    ("identifier", "status", "problem"),
    [("251608070400000-3d2f0f9a", 404, "not-found"), ("", 400, "malformed"), ("A!", 400, "malformed")],
)
async def test_what_does_not_stand_cannot_be_lifted(
    fleet_app: Any, headers: Any, identifier: str, status: int, problem: str
):
    sent = headers("Certificates.Renew")
    params = {"suppressionId": identifier}
    answer = await fleet_app.call("lift_suppression", "POST", headers=sent, params=params, body={"reason": "x"})
    assert (answer.status, answer.problem) == (status, problem)


async def test_the_audit_takes_what_was_ruled_with_who_and_why(fleet_app: Any, headers: Any, ports: Any):
    body = {"until": in_an_hour(), "reason": "DPS is down", "tag": "site=bern"}
    await fleet_app.call("pause_fleet", "POST", headers=headers("Certificates.Renew"), body=body)
    await (await composition.app.services()).auditing.append()
    [blob] = ports.audit.blobs.values()
    [entry] = [json.loads(line)["entry"] for block in blob for line in block.splitlines()]
    assert (entry["kind"], entry["actor"], entry["actorObjectId"]) == ("renewalsPaused", "ann", "o-1")
    assert (entry["reason"], entry["details"]["tag"]) == ("DPS is down", "site=bern")
    assert "deviceId" not in entry
    assert entry["row"].startswith("fleet/audit!")


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("pause_fleet", {"until": "2020-01-01T00:00:00Z", "reason": "x"}, 409),
        ("pause_fleet", {"until": "soon", "reason": "x"}, 422),
        ("pause_fleet", {"until": "2020-01-01T00:00:00", "reason": "x"}, 422),
        (
            "suppress_alerts",
            {"alertType": "*", "device": "tag:bern", "until": "2099-01-01T00:00:00Z", "reason": "x"},
            409,
        ),
    ],
)
async def test_a_ruling_needs_an_end_that_makes_sense(
    fleet_app: Any, headers: Any, name: str, body: dict[str, str], status: int
):
    answer = await fleet_app.call(name, "POST", headers=headers("Certificates.Renew"), body=body)
    assert answer.status == status
