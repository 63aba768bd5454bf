"""Requests that fit, answers that say what the record says, problems that hide what is not theirs to tell."""

from __future__ import annotations

import json
import string
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.record import Actor, Before, Certificate, Command, Containment, DeviceRecord, Evidence, State
from shared.domain.selecting import MOST_IDS
from shared.errors import (
    Conflict,
    FleetcertError,
    InfrastructureFault,
    NotFound,
    NotPossible,
    SettingsError,
    Throttled,
)
from shared.schemas import bulk as bulk_requests
from shared.schemas.access import Forbidden, Role, Unauthenticated
from shared.schemas.answers import encode
from shared.schemas.devices import device_answer
from shared.schemas.lists import history_answer, page_answer, read_cursor
from shared.schemas.problems import MethodNotAllowed, headers_of, problem_of
from shared.schemas.requests import (
    BodyTooLarge,
    DisableRequest,
    Invalid,
    LengthRequired,
    Malformed,
    RenewRequest,
    SecretSent,
    UnsupportedMediaType,
    decode,
    device_id,
    in_utc,
    read_body,
)
from shared.services.bulk import MAX_AFFECTED
from shared.services.histories import HistoryPage
from shared.services.listing import Page

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
ID_ALPHABET = string.ascii_letters + string.digits + "-:.+%_#*?!(),=@;$'"
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@given(st.text(ID_ALPHABET, min_size=1, max_size=128))
def test_every_id_that_iot_hub_takes_is_taken(text: str):
    assert device_id(text) == text


@given(st.text(max_size=140).filter(lambda text: not (0 < len(text) <= 128 and set(text) <= set(ID_ALPHABET))))
def test_no_other_id_is_taken(text: str):
    with pytest.raises(Malformed):
        device_id(text)


def test_requests_are_read_from_their_wire_names():
    request = decode(json.dumps({"reason": "stolen", "onboardingPem": PEM}).encode(), DisableRequest)
    assert (request.reason, request.onboarding_pem) == ("stolen", PEM)


@pytest.mark.parametrize(
    "body", [{"reason": "x", "onboardingPem": "no pem"}, {"reason": "x", "onboardingPem": PEM + "x" * 4096}]
)
def test_what_is_no_certificate_of_bearable_size_is_invalid(body: dict[str, str]):
    with pytest.raises(Invalid):
        decode(json.dumps(body).encode(), DisableRequest)


def test_a_misspelt_member_is_refused_and_named():
    with pytest.raises(Invalid, match="resaon"):
        decode(b'{"reason": "x", "resaon": "y"}', RenewRequest)


JSON = {"content-type": "application/json; charset=utf-8"}


@pytest.mark.parametrize(
    ("body", "headers", "error"),
    [
        (b'{"reason":"x"}', {}, UnsupportedMediaType),
        (b'{"reason":"x"}', {"content-type": "text/plain"}, UnsupportedMediaType),
        (b"", {**JSON, "transfer-encoding": "chunked"}, LengthRequired),
        (b"", JSON, Malformed),
        (b'{"reason":"' + b"x" * 65_536 + b'"}', JSON, BodyTooLarge),
        (b'{"reason":""}', JSON, Invalid),
    ],
)
def test_a_body_that_cannot_be_taken_says_why(body: bytes, headers: dict[str, str], error: type[Exception]):
    with pytest.raises(error):
        read_body(body, headers, RenewRequest)


@pytest.mark.parametrize(
    "secret",
    [
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN EC PRIVATE KEY-----",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----",
        "HostName=h;SharedAccessKeyName=owner;SharedAccessKey=AAAA",
        "AccountName=a;AccountKey=AAAA",
    ],
)
def test_a_body_that_holds_a_secret_is_refused_without_repeating_it(secret: str):
    body = json.dumps({"reason": "x", "onboardingPem": f"{PEM}{secret}"}).encode()
    with pytest.raises(SecretSent) as refusal:
        read_body(body, JSON, DisableRequest)
    assert secret not in str(refusal.value)


def test_an_instant_beyond_the_calendar_is_its_end():
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert in_utc(first.replace(tzinfo=timezone(timedelta(hours=14)))) == first
    assert in_utc(last.replace(tzinfo=timezone(timedelta(hours=-12)))) == last
    assert in_utc(NOON.astimezone(timezone(timedelta(hours=2)))) == NOON


def record(**changes: Any) -> DeviceRecord:
    values = {"device_id": "dev-1", "registration_id": "reg-1", "hub": "hub-1", "first_seen": NOON, "updated_at": NOON}
    return DeviceRecord(**{**values, **changes})


def document(device: DeviceRecord) -> dict[str, Any]:
    shown: dict[str, Any] = json.loads(encode(device_answer(device)))
    return shown


def test_a_device_is_shown_as_it_is_recorded():
    shown = document(
        record(
            state=State.COMMANDED,
            reason="CommandInFlight",
            certificate=Certificate(
                identity="aa",
                valid_from=NOON,
                valid_until=NOON + timedelta(days=30),
                evidence=Evidence.PARSED,
                first_seen=NOON,
            ),
            command=Command(
                id="c-1", attempt=2, reason="windowOpen", expires_at=NOON, patience_until=NOON, sent_at=NOON
            ),
        )
    )
    assert (shown["deviceId"], shown["registrationId"]) == ("dev-1", "reg-1")
    assert (shown["state"], shown["reason"]) == ("commanded", "CommandInFlight")
    assert shown["certificate"]["validUntil"] == "2026-12-23T12:00:00Z"
    assert shown["certificate"]["evidence"] == "parsed"
    assert shown["command"] == {
        "id": "c-1",
        "attempt": 2,
        "reason": "windowOpen",
        "sentAt": "2026-11-23T12:00:00Z",
        "expiresAt": "2026-11-23T12:00:00Z",
    }


def test_an_answer_shows_how_far_containment_is_and_not_the_certificate_it_uses():
    actor = Actor(name="ann", object_id="o-1")
    shown = document(
        record(
            containment=Containment(
                actor=actor,
                reason="stolen",
                requested_at=NOON,
                onboarding_pem=PEM,
                hub_disabled_at=NOON,
                identity_before=Before.ABSENT,
            )
        )
    )
    assert shown["containment"]["requestedBy"] == "ann"
    assert shown["containment"]["hubDisabledAt"] == "2026-11-23T12:00:00Z"
    assert shown["containment"]["hubBefore"] == "absent"
    assert shown["containment"]["registryBefore"] is None
    assert shown["containment"]["isVerified"] is False
    assert PEM not in json.dumps(shown)


def test_a_pages_cursor_leads_back_to_its_place():
    key = "expires!20261223T120000!dev~23one"
    answer = page_answer(Page((), key))
    assert answer.cursor is not None
    assert read_cursor(answer.cursor) == key
    assert page_answer(Page((), None)).cursor is None


def test_a_cursor_of_one_devices_history_does_not_open_anothers():
    cursor = history_answer("dev-1", HistoryPage((), "history!dev-1!0!e")).cursor
    assert cursor is not None
    with pytest.raises(Malformed):
        read_cursor(cursor, "history!dev-2!")


@given(st.text())
def test_a_cursor_that_no_page_gave_reaches_no_other_rows(text: str):
    try:
        key = read_cursor(text)
    except Malformed:
        return
    assert key is not None
    assert key.startswith("expires!")


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (Malformed("x"), 400, "malformed"),
        (Unauthenticated("x"), 401, "unauthenticated"),
        (Forbidden([Role.READ]), 403, "forbidden"),
        (NotFound("device", "d"), 404, "not-found"),
        (MethodNotAllowed(["GET"]), 405, "method-not-allowed"),
        (NotPossible("x"), 409, "not-possible"),
        (Conflict("x"), 409, "conflict"),
        (LengthRequired(), 411, "length-required"),
        (BodyTooLarge(), 413, "too-large"),
        (UnsupportedMediaType(), 415, "unsupported-media-type"),
        (Invalid("x"), 422, "invalid"),
        (SecretSent(), 422, "secret-sent"),
        (FleetcertError("x"), 500, "unexpected"),
        (KeyError("x"), 500, "unexpected"),
        (SettingsError("S", "x"), 503, "settings"),
        (Throttled("s", timedelta(seconds=7)), 503, "throttled"),
        (InfrastructureFault("s", "x"), 503, "unavailable"),
    ],
)
def test_every_error_is_one_problem(error: Exception, status: int, name: str):
    problem = problem_of(error)
    assert (problem.status, problem.type) == (status, f"urn:fleetcert:problem:{name}")


def test_a_problem_comes_with_the_headers_that_http_asks_for():
    assert headers_of(MethodNotAllowed(["GET", "HEAD"])) == {"Allow": "GET, HEAD"}
    assert headers_of(Unauthenticated("x")) == {"WWW-Authenticate": "Bearer"}
    assert headers_of(Throttled("s", timedelta(seconds=6.2))) == {"Retry-After": "7"}
    assert headers_of(NotFound("device", "d")) == {}


def test_what_the_edge_says_of_its_bounds_is_the_services_own():
    assert bulk_requests.MOST_IDS == MOST_IDS
    assert bulk_requests.MAX_AFFECTED == MAX_AFFECTED
