"""What is written on the wire at the API's edges: device ids in paths, bodies of every size, and secrets in the log."""

from __future__ import annotations

import logging
import random
import string
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from support.events import claim, device_pem, twin_event

from shared import composition

ALL = ("Fleet.Read", "Certificates.Renew", "Devices.Contain")
ALPHABET = string.ascii_letters + string.digits + "-:.+%_#*?!(),=@;$'"
"""Azure docs: IoT Hub devguide, identity registry."""


def odd_ids() -> list[str]:
    """Ids that a path could mistake for something else, and some of every character at random."""
    chance = random.Random(7)
    made = ["".join(chance.choices(ALPHABET, k=chance.choice([1, 2, 30, 128]))) for _ in range(30)]
    hand = ["a+b", "a%20b", "a#b", "a?b=c", "100%", "%", "%2F", "a%2fb", "%252F", "a=b", "$batch", "a,b", "'", "..."]
    return [*hand, *made]


async def know(*device_ids: str) -> None:
    services = await composition.app.services()
    now = datetime.now(UTC).replace(microsecond=0)
    events = [
        twin_event({"certificate": claim(now, timedelta(days=30))}, device_id=device_id, sequence=place, at=now)
        for place, device_id in enumerate(device_ids)
    ]
    await services.recording.record_hub_events(events)


async def test_every_id_of_iot_hubs_grammar_is_reached_by_its_percent_encoded_path(served: Any):
    ids = odd_ids()
    await know(*ids)
    for device_id in ids:
        answer = await served.ask("GET", f"devices/{quote(device_id, safe='')}", served.token(*ALL))
        assert (answer.status_code, answer.json().get("deviceId")) == (200, device_id), device_id


async def test_a_location_leads_back_to_its_device(served: Any):
    for device_id in ("a#b?c%d", "a+b", "%2F"):
        await know(device_id)
        path = f"devices/{quote(device_id, safe='')}/renew"
        accepted = await served.ask("POST", path, served.token(*ALL), json={"reason": "x"})
        location = accepted.headers["location"].removeprefix("/api/")
        assert (await served.ask("GET", location, served.token(*ALL))).json()["deviceId"] == device_id


async def test_an_encoded_slash_is_read_as_its_three_characters(served: Any):
    """The host hands `%2F` and `%252F` on alike, and no id holds a slash."""
    await know("a%2Fb")
    for path in ("devices/a%2Fb", "devices/a%252Fb"):
        assert (await served.ask("GET", path, served.token(*ALL))).json()["deviceId"] == "a%2Fb"


@pytest.mark.parametrize(
    "path", ["devices/a%20b", "devices/%C3%A4", "devices/a%00", "devices/" + "x" * 129, "devices/a&b"]
)
async def test_what_is_no_id_is_malformed(served: Any, path: str):
    answer = await served.ask("GET", path, served.token(*ALL))
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:fleetcert:problem:malformed")


async def test_a_device_whose_id_a_path_cannot_hold_is_reached_in_a_body(served: Any):
    await know("..")
    body = {"selector": {"ids": [".."]}, "reason": "x"}
    preview = await served.ask("POST", "bulk/renew", served.token(*ALL), json=body)
    assert preview.json()["devices"] == [{"deviceId": "..", "state": "valid", "obstacle": None}]


@pytest.mark.parametrize("path", ["", "nothing", "devices/a/b/c", "devices/a%0Ab/renew/x", "operations/1/2/3"])
async def test_a_path_that_is_no_route_is_a_problem_too(served: Any, path: str):
    for method in ("GET", "POST", "DELETE"):
        answer = await served.ask(method, path)
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:fleetcert:problem:not-found")
        assert answer.headers["content-type"] == "application/problem+json"


SIZES = [(65_536, 202), (65_537, 413)]


@pytest.mark.parametrize(("size", "status"), SIZES)
async def test_a_body_may_have_64_kib_and_not_a_byte_more(served: Any, size: int, status: int):
    await know("dev-1")
    start = b'{"reason": "x"'
    body = start + b" " * (size - len(start) - 1) + b"}"
    answer = await served.ask(
        "POST", "devices/dev-1/renew", served.token(*ALL), content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == status


async def in_chunks(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), 10_000):
        yield body[at : at + 10_000]


@pytest.mark.parametrize("size", [10, 100_000])
async def test_a_body_without_a_length_is_asked_for_one(served: Any, size: int):
    body = b'{"reason": "' + b"x" * size + b'"}'
    headers = {"content-type": "application/json"}
    answer = await served.ask(
        "POST", "devices/dev-1/renew", served.token(*ALL), content=in_chunks(body), headers=headers
    )
    assert (answer.status_code, answer.json()["type"]) == (411, "urn:fleetcert:problem:length-required")


KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIKnOneSuchKey\n-----END EC PRIVATE KEY-----\n"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIBNoneSuch\n-----END CERTIFICATE-----\n"
SECRETS = ["MHcCAQEEIKnOneSuchKey", "BEGIN EC PRIVATE KEY", "c2VjcmV0LWtleQ", "Bearer ", "eyJ"]
"""Of a key, a connection string, and a token."""


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that is logged, down to DEBUG."""
    with caplog.at_level(logging.DEBUG):
        yield caplog


BODIES = [
    {"reason": "x", "onboardingPem": CERTIFICATE + KEY},
    {"reason": KEY},
    {"reason": "SharedAccessKey=c2VjcmV0LWtleQ=="},
    {"reason": "x", "key": KEY},
    {"onboardingPem": KEY},
    [KEY],
]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("path", ["devices/dev-1/disable", "devices/dev-1/renew", "bulk/disable", "fleet/pause"])
async def test_a_secret_in_a_body_is_refused_and_stands_in_no_log_and_no_row(
    served: Any, ports: Any, logged: pytest.LogCaptureFixture, path: str, body: object
):
    await know("dev-1")
    headers = {"Idempotency-Key": "once"}
    answer = await served.ask("POST", path, served.token(*ALL), json=body, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:fleetcert:problem:secret-sent")
    kept = "\n".join([answer.text, logged.text, *(str(row.values) for row in ports.table.rows.values())])
    assert [secret for secret in SECRETS if secret in kept] == []


async def test_the_log_of_a_mutation_holds_neither_its_token_nor_its_certificate(
    served: Any, ports: Any, logged: pytest.LogCaptureFixture
):
    await know("dev-1")
    pem = device_pem("dev-1", datetime.now(UTC))
    ports.table.faults = [RuntimeError("a bug")]
    body = {"reason": "stolen", "onboardingPem": pem}
    answers = [await served.ask("POST", "devices/dev-1/disable", served.token(*ALL), json=body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [500, 202]
    assert "a bug" in logged.text  # the log was on
    assert [secret for secret in [*SECRETS, *pem.splitlines()[1:3]] if secret in logged.text] == []
