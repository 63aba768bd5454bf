"""Identities: what the registry takes, keeps and refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleetcert.local.assumptions import Assumptions
from fleetcert.local.iothub.bulk import change_identities
from fleetcert.local.iothub.errors import HubError, ThrottledRequest
from fleetcert.local.iothub.etags import Preconditions
from fleetcert.local.iothub.identity_registry import IdentityRegistry
from fleetcert.local.iothub.routes import RoutedTo, Routes
from fleetcert.local.iothub.throttles import Throttle, Throttles
from fleetcert.local.iothub.twins import Twins
from fleetcert.local.ports import RoutedEvent

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
CA = {"authentication": {"type": "certificateAuthority"}}
UNCONDITIONAL, ANY = Preconditions(), Preconditions("*")


class FakeClock:
    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> datetime:
        return self.time


class NotingSink:
    def __init__(self) -> None:
        self.published: list[tuple[str, RoutedEvent]] = []

    def publish(self, event_hub: str, event: RoutedEvent) -> None:
        self.published.append((event_hub, event))


class World:
    def __init__(self, assumptions: Assumptions | None = None) -> None:
        self.clock, self.sink = FakeClock(), NotingSink()
        self.routes = Routes("hub", self.sink, assumptions or Assumptions(), self.clock, RoutedTo())
        self.devices = IdentityRegistry(self.routes, self.clock)
        self.twins = Twins(self.routes, self.clock)

    def operations(self) -> list[str]:
        return [event.properties["opType"] for _, event in self.sink.published]


@pytest.fixture
def world() -> World:
    return World()


def test_a_put_replaces_the_whole_document_and_changes_the_etag(world: World) -> None:
    device = world.devices.put("dev-1", {**CA, "statusReason": "new"}, UNCONDITIONAL)
    before = device.identity_document()
    world.devices.put("dev-1", {**CA, "status": "disabled"}, Preconditions(before["etag"]))
    after = device.identity_document()
    assert (after["status"], after["statusReason"]) == ("disabled", None)
    assert after["etag"] != before["etag"]
    assert after["generationId"] == before["generationId"]
    assert after["statusUpdatedTime"] == "2026-11-23T12:00:00.0000000Z"


def test_an_identity_read_whole_can_be_put_back(world: World) -> None:
    device = world.devices.put("dev-1", CA, UNCONDITIONAL)
    document = device.identity_document()
    world.devices.put("dev-1", document, Preconditions(document["etag"]))
    unchanged = {name: value for name, value in device.identity_document().items() if name != "etag"}
    assert unchanged == {name: value for name, value in document.items() if name != "etag"}


def test_a_device_that_is_created_again_is_another_generation(world: World) -> None:
    first = world.devices.put("dev-1", CA, UNCONDITIONAL).identity.generation_id
    world.devices.delete("dev-1", ANY)
    assert world.devices.put("dev-1", CA, UNCONDITIONAL).identity.generation_id != first
    assert world.operations() == ["createDeviceIdentity", "deleteDeviceIdentity", "createDeviceIdentity"]


def test_a_device_without_authentication_gets_symmetric_keys(world: World) -> None:
    authentication = world.devices.put("dev-1", {}, UNCONDITIONAL).identity_document()["authentication"]
    assert authentication["type"] == "sas"
    assert authentication["symmetricKey"]["primaryKey"]
    assert authentication["x509Thumbprint"] == {"primaryThumbprint": None, "secondaryThumbprint": None}


@pytest.mark.parametrize(
    ("device_id", "document"),
    [
        ("dev 1", CA),
        ("d" * 129, CA),
        ("", CA),
        ("dev-1", {**CA, "deviceId": "dev-2"}),
        ("dev-1", {**CA, "status": "paused"}),
        ("dev-1", {**CA, "statusReason": "x" * 129}),
        ("dev-1", {"authentication": {"type": "tpm"}}),
        ("dev-1", {"authentication": {"type": "selfSigned"}}),
        ("dev-1", {"authentication": {"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": "AB"}}}),
        ("dev-1", {"authentication": {"type": "sas", "symmetricKey": {"primaryKey": "***"}}}),
    ],
)
def test_what_the_registry_does_not_take_is_400004(world: World, device_id: str, document: dict[str, Any]) -> None:
    with pytest.raises(HubError, match="400004"):
        world.devices.put(device_id, document, UNCONDITIONAL)
    assert world.operations() == []


def test_a_status_reason_of_128_characters_beyond_ascii_is_taken(world: World) -> None:
    world.devices.put("dev-1", {**CA, "statusReason": "é" * 128}, UNCONDITIONAL)


def test_provisioning_again_leaves_status_and_twin_alone(world: World) -> None:
    world.devices.provision("dev-1", CA["authentication"])
    world.devices.put("dev-1", {**CA, "status": "disabled", "statusReason": "stolen"}, ANY)
    device, is_new = world.devices.provision("dev-1", {"type": "selfSigned", "x509Thumbprint": thumbprint()})
    assert not is_new
    assert (device.identity.written.status, device.identity.written.status_reason) == ("disabled", "stolen")
    assert device.identity_document()["authentication"]["type"] == "selfSigned"


def thumbprint() -> dict[str, str]:
    return {"primaryThumbprint": "AB" * 20}


def test_each_bulk_entry_stands_for_itself(world: World) -> None:
    world.devices.put("old", CA, UNCONDITIONAL)
    errors = change_identities(
        world.devices,
        world.twins,
        [
            {"id": "new", "importMode": "create", "tags": {"site": "a"}, **CA},
            {"id": "old", "importMode": "create", **CA},
            {"id": "old", "importMode": "updateIfMatchETag", "eTag": "wrong", **CA},
            {"id": "old", "importMode": "update", "status": "disabled", **CA},
            {"id": "missing", "importMode": "update", **CA},
            {"id": "missing", "importMode": "delete"},
        ],
    )
    assert [(error["deviceId"], error["errorCode"]) for error in errors] == [
        ("old", 409001),
        ("old", 412001),
        ("missing", 404001),
        ("missing", 404001),
    ]
    assert world.devices.get("new").twin.tags == {"site": "a"}
    assert not world.devices.get("old").identity.enabled


def test_a_bulk_request_of_101_is_refused(world: World) -> None:
    with pytest.raises(HubError, match="400004"):
        change_identities(world.devices, world.twins, [{"id": f"d{n}", **CA} for n in range(101)])


def test_an_events_envelope_is_that_of_the_documentation(world: World) -> None:
    world.devices.put("dev-1", CA, UNCONDITIONAL)
    ((hub, event),) = world.sink.published
    assert hub == "iot-events"
    assert event.partition_key == "dev-1"
    assert event.properties == {
        "deviceId": "dev-1",
        "hubName": "hub",
        "iothub-message-schema": "deviceLifecycleNotification",
        "operationTimestamp": "2026-11-23T12:00:00.0000000Z",
        "opType": "createDeviceIdentity",
    }
    assert event.annotations == {
        "iothub-connection-device-id": "dev-1",
        "iothub-enqueuedtime": NOON,
        "iothub-message-source": "deviceLifecycleEvents",
    }
    assert (event.content_type, event.content_encoding, event.user_id) == ("application/json", "utf-8", "hub")


def test_sequence_numbers_of_connection_events_grow_as_strings_even_if_the_clock_falls(world: World) -> None:
    for step in (0, 60, -3600, 1):
        world.clock.time += timedelta(seconds=step)
        world.routes.connection_changed("dev-1", connected=True)
    bodies = [event.body for hub, event in world.sink.published if hub == "connection-events"]
    assert len(set(bodies)) == 4
    assert bodies == sorted(bodies)
    assert all(len(body) == len(b'{"sequenceNumber":""}') + 64 for body in bodies)


async def test_where_order_is_not_promised_the_lifecycle_event_comes_after_the_first_twin_change() -> None:
    world = World(Assumptions(lifecycle_first=False))
    device, _ = world.devices.provision("dev-1", CA["authentication"])
    world.twins.report(device, {"a": 1})
    world.twins.report(device, {"a": 2})
    assert world.operations() == ["updateTwin", "createDeviceIdentity", "updateTwin"]


def test_a_throttle_lets_its_number_pass_in_any_minute() -> None:
    clock = FakeClock()
    throttles = Throttles(clock, enabled=True)
    for _ in range(20):
        throttles.check(Throttle.QUERY)
    clock.time += timedelta(seconds=20)
    with pytest.raises(ThrottledRequest) as refused:
        throttles.check(Throttle.QUERY)
    assert (refused.value.status, refused.value.retry_after_seconds) == (429, 40)
    clock.time += timedelta(seconds=40)
    throttles.check(Throttle.QUERY)


def test_a_throttle_that_is_switched_off_lets_everything_pass() -> None:
    throttles = Throttles(FakeClock(), enabled=False)
    for _ in range(200):
        throttles.check(Throttle.QUERY)
