from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.events import claim, dps_event, dps_record, hub_event, lifecycle_event, twin_event
from support.fakes import NOON

from shared.domain.envelope import Envelope
from shared.domain.events import (
    DeviceRegistered,
    DomainEvent,
    IdentityCreated,
    IdentityDeleted,
    RegistrationFailed,
    TagsChanged,
    TwinReported,
    TwinUnclear,
)
from shared.domain.parsing import parse_dps_event, read_tags, read_twin
from shared.domain.parsing import parse_hub_event as parse
from shared.errors import BadEvent


def parse_hub_event(envelope: Envelope) -> DomainEvent | None:
    """The one thing that an event says, or None."""
    events = parse(envelope)
    assert len(events) <= 1
    return events[0] if events else None


def test_a_whole_certificate_in_a_patch_is_understood() -> None:
    event = parse_hub_event(twin_event({"certificate": claim()}, version=7))
    assert isinstance(event, TwinReported)
    assert (event.device_id, event.hub, event.version, event.updated_at) == ("dev-1", "hub-1", 7, NOON)
    assert event.certificate is not None
    assert event.certificate.thumbprint == "aa" * 32


def test_microsofts_documented_shape_alone_asks_for_the_twin() -> None:
    dates = {name: value for name, value in claim().items() if name.startswith("valid")}
    assert isinstance(parse_hub_event(twin_event({"certificate": dates})), TwinUnclear)


def test_microsofts_documented_shape_in_a_whole_twin_is_understood() -> None:
    dates = {name: value for name, value in claim().items() if name.startswith("valid")}
    event, _ = parse(twin_event({"certificate": dates}, operation="replaceTwin"))
    assert isinstance(event, TwinReported)
    assert event.certificate is not None
    assert event.certificate.thumbprint is None


def test_a_certificate_that_is_reported_as_null_was_removed() -> None:
    event = parse_hub_event(twin_event({"certificate": None}))
    assert isinstance(event, TwinReported)
    assert event.removed
    assert event.certificate is None


def test_an_onboarding_credential_alone_says_nothing_of_the_certificate() -> None:
    onboarding = {"thumbprint": "bb", "validUntil": "2027-01-01T00:00:00Z", "pem": None}
    event = parse_hub_event(twin_event({"onboarding": onboarding}))
    assert isinstance(event, TwinReported)
    assert not event.removed
    assert event.onboarding is not None
    assert event.onboarding.thumbprint == "bb"


@pytest.mark.parametrize(
    "body",
    [
        {"version": 3, "properties": {"reported": {"temperature": 21, "$version": 3}}},
        {"version": 3, "properties": {"desired": {"certificate": {"policy": "p"}, "$version": 3}}},
        {"version": 3, "properties": {"reported": {"tags": "no tags", "$version": 3}}},
    ],
)
def test_a_twin_change_about_something_else_is_none_of_our_business(body: dict[str, Any]) -> None:
    assert parse_hub_event(hub_event({"properties": {}, **body}, "twinChangeEvents", "updateTwin")) is None


def test_a_modules_twin_is_none_of_our_business() -> None:
    event = twin_event({"certificate": claim()})
    assert parse_hub_event(replace(event, properties={**event.properties, "moduleId": "m"})) is None


def test_several_changes_in_one_event_are_all_heard() -> None:
    event = twin_event({"certificate": claim()})
    body = json.loads(event.body) | {"tags": {"site": {"city": "Bern", "old": None}, "rack": 7, "hot": True}}
    reported, tags = parse(replace(event, body=json.dumps(body).encode()))
    assert isinstance(reported, TwinReported)
    assert isinstance(tags, TagsChanged)
    assert tags.tags == {"site.city": "Bern", "site.old": None, "rack": "7", "hot": "true"}
    assert not tags.is_whole


def test_the_tags_of_a_twin_that_was_read_are_whole() -> None:
    tags = read_tags({"version": 9, "tags": {"site": "x"}}, device_id="d", hub="h", event_id="look", at=NOON)
    assert (tags.twin_version, tags.tags, tags.is_whole) == (9, {"site": "x"}, True)


def test_telemetry_is_none_of_our_business() -> None:
    assert parse_hub_event(hub_event({"certificate": 1}, "Telemetry", "")) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"validFrom": "yesterday"}, "validFrom is no instant"),
        ({"validUntil": None}, "validUntil is missing or no text"),
        ({"validUntil": "2020-01-01T00:00:00Z"}, "certificate.validUntil is not after validFrom"),
        ({"thumbprint": 7}, "thumbprint is no text of at most 512 characters"),
        ({"pem": "x" * 5000}, "pem is no text of at most 4096 characters"),
        ({"validFrom": "0001-01-01T00:00:00+14:00"}, "validFrom is no instant"),
    ],
)
def test_a_certificate_that_cannot_be_read_is_a_bad_event_with_a_reason(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadEvent) as bad:
        parse_hub_event(twin_event({"certificate": {**claim(), **change}}))
    assert bad.value.reason == reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"certificate" not json', "the body is not JSON"),
        (b'["certificate", "onboarding"]', "the body is no JSON object"),
        (b'{"properties": {"reported": "certificate"}, "x": {"certificate": 1}}', "reported is no object"),
        (b'{"properties": 1, "certificate": 1}', "properties is no object"),
        (b'{"properties": {"reported": {"certificate": 1, "$version": 1}}}', "certificate is no object"),
    ],
)
def test_a_body_that_cannot_be_read_is_a_bad_event(body: bytes, reason: str) -> None:
    with pytest.raises(BadEvent) as bad:
        parse_hub_event(hub_event(body, "twinChangeEvents", "updateTwin"))
    assert bad.value.reason == reason


def test_a_twin_change_without_a_device_is_a_bad_event() -> None:
    with pytest.raises(BadEvent, match="deviceId"):
        parse_hub_event(replace(twin_event({"certificate": claim()}), properties={"hubName": "h"}))


def test_lifecycle_events_are_understood() -> None:
    created = parse_hub_event(lifecycle_event("createDeviceIdentity"))
    deleted = parse_hub_event(lifecycle_event("deleteDeviceIdentity"))
    assert isinstance(created, IdentityCreated)
    assert isinstance(deleted, IdentityDeleted)
    assert created.at == NOON


def test_a_registration_is_read_in_both_shapes_of_the_log() -> None:
    records = parse_dps_event(dps_event({"records": [dps_record("a"), dps_record("b", "ClientError")]}))
    assert [(type(e), e.device_id) for e in records] == [(DeviceRegistered, "a"), (RegistrationFailed, "b")]
    single = parse_dps_event(dps_event(dps_record("c")))
    assert [e.device_id for e in single] == ["c"]


def test_the_log_analytics_names_are_read_too() -> None:
    record = {"Category": "DeviceOperations", "ResultType": "Success", "properties_s": '{"id": "d"}'}
    assert [e.device_id for e in parse_dps_event(dps_event(record))] == ["d"]


def test_other_categories_of_the_log_are_passed_over() -> None:
    assert parse_dps_event(dps_event({"records": [{"category": "ServiceOperations"}]})) == []


@pytest.mark.parametrize(
    "body", [[], {"records": 1}, {"records": [1]}, {"category": "DeviceOperations", "properties": 1}]
)
def test_a_log_that_cannot_be_read_is_a_bad_event(body: object) -> None:
    with pytest.raises(BadEvent):
        parse_dps_event(dps_event(body))


def test_a_twin_that_was_read_is_whole() -> None:
    twin = {"properties": {"reported": {"$version": 4, "$metadata": {"$lastUpdated": "2026-11-23T11:00:00.1234567Z"}}}}
    event = read_twin(twin, device_id="d", hub="h", event_id="look", at=NOON)
    assert event.removed
    assert event.version == 4
    assert event.updated_at < NOON


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
members = st.sampled_from(["validFrom", "validUntil", "thumbprint", "serialNumber", "issuer", "pem"])


@given(st.dictionaries(members, json_values), json_values, json_values)
def test_whatever_a_twin_says_is_understood_or_a_bad_event(
    certificate: dict[str, Any], onboarding: object, version: object
) -> None:
    reported = {"certificate": certificate, "onboarding": onboarding, "$version": version}
    body = json.dumps({"properties": {"reported": reported}}).encode()
    try:
        event = parse_hub_event(hub_event(body, "twinChangeEvents", "updateTwin"))
    except BadEvent:
        return
    assert isinstance(event, TwinReported | TwinUnclear)


@given(st.binary(max_size=60), json_values)
def test_whatever_the_log_says_is_understood_or_a_bad_event(raw: bytes, document: object) -> None:
    for body in (raw, json.dumps({"records": [document]}).encode()):
        try:
            parse_dps_event(replace(dps_event({}), body=body))
        except BadEvent:
            continue
