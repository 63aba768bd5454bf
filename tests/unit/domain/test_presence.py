"""Connection events: what they say, which is the latest, and who must not be connected."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.connections import connected, connection_event, disconnected, sequence_number
from support.events import hub_event
from support.fakes import NOON

from shared.contracts import AlertType
from shared.domain.presence import ConnectionChanged, Contained, latest, parse_connection_event, reappeared
from shared.errors import BadEvent

MINUTE = timedelta(minutes=1)


def parsed(order: int, device_id: str = "dev-1", *, is_connected: bool = True, minutes: int = 0) -> ConnectionChanged:
    make = connected if is_connected else disconnected
    event = parse_connection_event(make(order, device_id, NOON + minutes * MINUTE))
    assert event is not None
    return event


def test_a_connection_event_says_who_when_and_in_which_order() -> None:
    event = parse_connection_event(disconnected(7, "dev-2", NOON + MINUTE))
    assert event is not None
    assert (event.device_id, event.hub, event.seen.connected, event.seen.at) == ("dev-2", "hub-1", False, NOON + MINUTE)
    assert event.seen.sequence == sequence_number(7)


def test_other_news_of_the_route_and_of_modules_are_none_of_our_business() -> None:
    assert parse_connection_event(hub_event(b"telemetry", "Telemetry", "")) is None
    module = replace(connected(), properties={**connected().properties, "moduleId": "m"})
    assert parse_connection_event(module) is None


@pytest.mark.parametrize(
    ("body", "operation"),
    [
        (b"", "deviceConnected"),
        (b"[1]", "deviceConnected"),
        ({}, "deviceConnected"),
        ({"sequenceNumber": 7}, "deviceConnected"),
        ({"sequenceNumber": "0x7"}, "deviceConnected"),
        ({"sequenceNumber": "7" * 65}, "deviceConnected"),
        ({"sequenceNumber": "7"}, "deviceVanished"),
    ],
)
def test_an_event_that_cannot_be_understood_is_bad(body: object, operation: str) -> None:
    with pytest.raises(BadEvent):
        parse_connection_event(connection_event(operation, body=body))


@pytest.mark.parametrize("missing", ["deviceId", "hubName", "opType", "operationTimestamp"])
def test_an_event_without_its_properties_is_bad(missing: str) -> None:
    event = connected()
    properties = {name: value for name, value in event.properties.items() if name != missing}
    with pytest.raises(BadEvent, match=missing):
        parse_connection_event(replace(event, properties=properties))


@given(st.integers(0, 2**256 - 1), st.integers(0, 2**256 - 1))
def test_sequence_numbers_compare_as_text_whatever_their_case_and_leading_zeros(one: int, other: int) -> None:
    events = [
        parse_connection_event(connection_event(body={"sequenceNumber": text}))
        for text in (f"{one:x}", f"{other:064X}")
    ]
    first, second = (e.seen.sequence for e in events if e is not None)
    assert (first < second) == (one < other)
    assert (first == second) == (one == other)


@given(st.randoms())
def test_the_latest_of_a_device_is_the_same_in_every_order(order: random.Random) -> None:
    events = [parsed(n, f"dev-{n % 3}", is_connected=n % 2 == 0) for n in range(12)] * 2
    order.shuffle(events)
    assert {d: e.seen.sequence for d, e in latest(events).items()} == {
        f"dev-{n % 3}": sequence_number(n) for n in (9, 10, 11)
    }


VERIFIED = Contained(NOON - MINUTE, NOON)


def test_a_device_that_is_back_after_it_was_seen_gone_is_told() -> None:
    alert = reappeared(parsed(5, minutes=1), VERIFIED, None)
    assert alert is not None
    assert (alert.type, alert.subject) == (AlertType.DEVICE_CONTAINMENT_UNVERIFIED, "devices/dev-1")
    assert alert.data["connectedAt"] == "2026-11-23T12:01:00Z"
    assert reappeared(parsed(5, minutes=1), VERIFIED, None) == alert


@pytest.mark.parametrize(
    ("event", "contained"),
    [
        (parsed(5, is_connected=False, minutes=1), VERIFIED),
        (parsed(5, minutes=0), VERIFIED),
        (parsed(5, minutes=-5), VERIFIED),
        (parsed(5, minutes=1), Contained(NOON)),
    ],
    ids=["it left", "at the same instant", "a late event", "not seen gone yet"],
)
def test_a_device_that_is_not_back_is_not_told(event: ConnectionChanged, contained: Contained) -> None:
    assert reappeared(event, contained, None) is None


@pytest.mark.parametrize(("minutes", "is_told"), [(59, False), (60, True)])
def test_it_is_told_once_an_hour(minutes: int, is_told: bool) -> None:
    alert = reappeared(parsed(9, minutes=1 + minutes), VERIFIED, NOON + MINUTE)
    assert (alert is not None) is is_told
