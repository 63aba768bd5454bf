"""Sessions against a connection that notes what is sent, with a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetcert.certificates import CertificateAuthority, LeafProfile
from fleetcert.local.assumptions import Assumptions
from fleetcert.local.iothub.device_queue import MAX_DELIVERIES
from fleetcert.local.iothub.errors import ThrottledRequest
from fleetcert.local.iothub.etags import Preconditions
from fleetcert.local.iothub.hub import IotHub
from fleetcert.local.iothub.rest import SERVICES, answer_errors
from fleetcert.local.ports import AmqpRefused, CloudToDeviceMessage, Connect, MqttSession, Refused, RoutedEvent

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
C2D = "devices/dev-1/messages/devicebound/#"


class FakeClock:
    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> datetime:
        return self.time


class NotingSink:
    def __init__(self) -> None:
        self.operations: list[str] = []

    def publish(self, event_hub: str, event: RoutedEvent) -> None:
        self.operations.append(event.properties["opType"])


class Adr:
    """Implements Registry: one CA, and a word on why it refuses."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.authority = CertificateAuthority.create_root(
            "ca",
            ec.generate_private_key(ec.SECP384R1()),
            not_before=NOON - timedelta(days=1),
            not_after=NOON + timedelta(days=1),
        )

    def register(self, device_id: str, policy: str | None) -> None: ...

    def issue(self, device_id: str, csr: bytes, policy: str | None = None) -> Sequence[x509.Certificate]:
        raise AssertionError("nobody asks here")

    def refusal(self, device_id: str, certificate: x509.Certificate) -> str | None:
        return self.reason

    def leaf(self, name: str, life: timedelta) -> x509.Certificate:
        key = ec.generate_private_key(ec.SECP256R1()).public_key()
        profile = LeafProfile([ExtendedKeyUsageOID.CLIENT_AUTH])
        return self.authority.issue_leaf(name, key, profile, not_before=NOON, not_after=NOON + life)


class NobodyMayCall:
    """Implements Credentials."""

    def check_sas(self, token: str, *, key_is_base64: bool) -> None:
        raise PermissionError

    def check_bearer(self, token: str, resource: str) -> None:
        raise PermissionError


class NotingConnection:
    """Implements MqttConnection."""

    def __init__(self) -> None:
        self.published: list[tuple[str, bytes, int]] = []
        self.closed = False

    def publish(self, topic: str, payload: bytes, qos: int = 0) -> int | None:
        self.published.append((topic, payload, qos))
        return len(self.published) if qos else None

    def close(self) -> None:
        self.closed = True


class World:
    """A hub with the device dev-1."""

    def __init__(self, assumptions: Assumptions | None = None, *, throttled: bool = False) -> None:
        self.clock, self.sink, self.adr = FakeClock(), NotingSink(), Adr()
        self.hub = IotHub(
            "hub.azure-devices.net",
            self.adr,
            self.sink,
            NobodyMayCall(),
            assumptions or Assumptions(),
            self.clock,
            throttled=throttled,
        )
        self.hub.trust({"policy": self.adr.authority.certificate})
        self.hub.provision("dev-1", authentication={"type": "certificateAuthority"}, initial_twin={})

    def connect(
        self, life: timedelta = timedelta(hours=1), *, clean_session: bool = True
    ) -> tuple[MqttSession, NotingConnection]:
        connection = NotingConnection()
        chain = [self.adr.leaf("dev-1", life), self.adr.authority.certificate]
        user_name = "hub.azure-devices.net/dev-1/?api-version=2021-04-12"
        connect = Connect("dev-1", user_name, b"", clean_session, 60, chain)
        return self.hub.mqtt_endpoint().accept(connect, connection), connection

    def send(self, device_id: str = "dev-1", **system: Any) -> None:
        self.hub.send(CloudToDeviceMessage(device_id, b"x", system, {}))


async def test_the_hub_claims_its_own_user_names_only() -> None:
    endpoint = World().hub.mqtt_endpoint()
    for user_name, claimed in {
        "hub.azure-devices.net/dev-1/?api-version=2021-04-12": True,
        "HUB.azure-devices.net/dev-1": True,
        "other.azure-devices.net/dev-1": False,
        "0ne0001/registrations/dev-1/api-version=2019-03-31": False,
        "": False,
    }.items():
        assert endpoint.claims(Connect("dev-1", user_name, b"", True, 60, [])) is claimed


async def test_a_device_id_with_a_question_mark_is_read_whole() -> None:
    world = World()
    world.hub.provision("dev?1", authentication={"type": "certificateAuthority"}, initial_twin={})
    chain = [world.adr.leaf("dev?1", timedelta(hours=1))]
    user_name = "hub.azure-devices.net/dev?1/?api-version=2025-08-01-preview"
    connect = Connect("dev?1", user_name, b"", True, 60, chain)
    session = world.hub.mqtt_endpoint().accept(connect, NotingConnection())
    assert session.on_subscribe("$iothub/credentials/res/#", 1) == 1


async def test_a_certificate_that_adr_does_not_want_used_is_refused() -> None:
    world = World()
    world.adr.reason = "the certificate was revoked"
    with pytest.raises(Refused, match="revoked"):
        world.connect()


async def test_a_certificate_of_a_ca_that_is_no_longer_synchronized_is_refused() -> None:
    world = World()
    world.hub.trust({})
    with pytest.raises(Refused, match="does not lead to a CA"):
        world.connect()


@pytest.mark.parametrize(("moment", "reason"), [(-1, "not valid before"), (3601, "expired")])
async def test_a_certificate_is_refused_outside_its_validity(moment: int, reason: str) -> None:
    world = World()
    world.clock.time += timedelta(seconds=moment)
    with pytest.raises(Refused, match=reason):
        world.connect()


@pytest.mark.parametrize("ends", [True, False])
async def test_a_session_ends_with_its_certificate_only_where_that_is_assumed(ends: bool) -> None:
    world = World(Assumptions(session_ends_with_certificate=ends))
    world.clock.time += timedelta(seconds=59.98)
    _, connection = world.connect(timedelta(seconds=60))
    world.clock.time += timedelta(seconds=1)
    await asyncio.sleep(0.05)
    assert connection.closed is ends
    assert ("deviceDisconnected" in world.sink.operations) is ends


async def test_a_later_session_takes_the_place_of_the_earlier_and_outlives_its_end() -> None:
    world = World()
    first, first_connection = world.connect()
    second, second_connection = world.connect()
    assert (first_connection.closed, second_connection.closed) == (True, False)
    first.on_closed()
    assert world.sink.operations[1:] == ["deviceConnected", "deviceDisconnected", "deviceConnected"]
    second.on_subscribe(C2D, 1)
    world.send()
    assert len(second_connection.published) == 1


async def test_a_message_that_is_never_acknowledged_is_given_up_after_ten_connections() -> None:
    world = World()
    world.send()
    deliveries = 0
    for _ in range(MAX_DELIVERIES + 1):
        session, connection = world.connect()
        session.on_subscribe(C2D, 1)
        await asyncio.sleep(0)
        deliveries += len(connection.published)
        session.on_closed()
    assert deliveries == MAX_DELIVERIES


async def test_subscriptions_outlive_a_connection_unless_the_next_one_wants_a_clean_session() -> None:
    world = World()
    session, _ = world.connect(clean_session=False)
    session.on_subscribe(C2D, 1)
    session.on_closed()
    world.send()
    _, kept = world.connect(clean_session=False)
    await asyncio.sleep(0)
    assert [qos for _, _, qos in kept.published] == [1]
    _, clean = world.connect(clean_session=True)
    await asyncio.sleep(0)
    assert clean.published == []


async def test_subscriptions_of_a_clean_session_end_with_it() -> None:
    world = World()
    session, _ = world.connect(clean_session=True)
    session.on_subscribe(C2D, 1)
    session.on_closed()
    world.send()
    _, connection = world.connect(clean_session=False)
    await asyncio.sleep(0)
    assert connection.published == []


async def test_the_properties_of_a_message_travel_in_its_topic() -> None:
    world = World()
    session, connection = world.connect()
    session.on_subscribe(C2D, 1)
    await asyncio.sleep(0)
    system = {"message_id": "m/1", "content_type": "application/json", "absolute_expiry_time": NOON + timedelta(1)}
    world.hub.send(CloudToDeviceMessage("dev-1", b"x", system, {"iothub-ack": "full", "a b": "ü"}))
    ((topic, _, _),) = connection.published
    assert topic == (
        "devices/dev-1/messages/devicebound/%24.to=%2Fdevices%2Fdev-1%2Fmessages%2Fdevicebound"
        "&%24.mid=m%2F1&%24.ct=application%2Fjson&%24.exp=2026-11-24T12%3A00%3A00.0000000Z"
        "&iothub-ack=full&a%20b=%C3%BC"
    )


async def test_a_publish_to_a_topic_that_iot_hub_does_not_have_ends_the_connection() -> None:
    session, connection = World().connect()
    session.on_publish("devices/dev-2/messages/events/", b"", 0)
    assert connection.closed


async def test_answers_go_only_to_who_subscribed_and_gave_a_request_id() -> None:
    session, connection = World().connect()
    session.on_publish("$iothub/twin/GET/?$rid=1", b"", 0)
    session.on_subscribe("$iothub/twin/res/#", 0)
    session.on_publish("$iothub/twin/GET/", b"", 0)
    assert connection.published == []
    session.on_publish("$iothub/twin/GET/?$rid=2", b"", 0)
    answer = b'{"desired":{"$version":1},"reported":{"$version":1}}'
    assert connection.published == [("$iothub/twin/res/200/?$rid=2", answer, 0)]


@pytest.mark.parametrize(("payload", "status"), [(b"{", 400), (b"[]", 400), (b'{"a.b":1}', 400), (b'{"a":1}', 204)])
async def test_a_report_is_answered_with_its_status(payload: bytes, status: int) -> None:
    session, connection = World().connect()
    session.on_subscribe("$iothub/twin/res/#", 0)
    session.on_publish("$iothub/twin/PATCH/properties/reported/?$rid=7", payload, 0)
    ((topic, _, _),) = connection.published
    assert topic == f"$iothub/twin/res/{status}/?$rid=7" + ("&$version=2" if status == 204 else "")


@pytest.mark.parametrize("change", ["disable", "delete"])
async def test_a_device_that_is_shut_out_loses_its_session_and_cannot_come_back(change: str) -> None:
    world = World()
    _, connection = world.connect()
    devices = world.hub._devices
    if change == "disable":
        document = {"authentication": {"type": "certificateAuthority"}, "status": "disabled"}
        devices.put("dev-1", document, Preconditions("*"))
    else:
        devices.delete("dev-1", Preconditions())
    assert connection.closed
    with pytest.raises(Refused, match=r"disabled|not registered"):
        world.connect()


REFUSALS: Mapping[str, tuple[dict[str, Any], str, str]] = {
    "an unknown device": ({"device_id": "dev-2"}, "amqp:not-found", "404001"),
    "an expiry in three days": (
        {"absolute_expiry_time": NOON + timedelta(days=3)},
        "amqp:not-allowed",
        "403009",
    ),
}


@pytest.mark.parametrize(("message", "condition", "code"), REFUSALS.values(), ids=REFUSALS.keys())
async def test_a_message_is_refused_with_iot_hubs_condition_and_code(
    message: dict[str, Any], condition: str, code: str
) -> None:
    with pytest.raises(AmqpRefused, match=code) as refused:
        World().send(**message)
    assert refused.value.condition == condition


async def test_the_51st_message_and_the_101st_in_a_minute_have_conditions_of_their_own() -> None:
    world = World(throttled=True)
    for _ in range(50):
        world.send()
    for _ in range(50):
        with pytest.raises(AmqpRefused, match=r"amqp:resource-limit-exceeded.*403004"):
            world.send()
    with pytest.raises(AmqpRefused, match=r"com.microsoft:device-container-throttled.*429001"):
        world.send()


async def test_a_topic_that_does_not_fit_into_mqtt_is_too_large_a_message() -> None:
    message = CloudToDeviceMessage("dev-1", b"", {}, {"p": "ü" * 11_000})
    with pytest.raises(AmqpRefused, match=r"amqp:link:message-size-exceeded.*413001"):
        World().hub.send(message)


async def test_a_throttled_caller_is_told_when_to_come_back() -> None:
    async def throttled(_request: web.Request) -> web.StreamResponse:
        raise ThrottledRequest("queries", 17)

    app = web.Application()
    app[SERVICES] = World().hub._services
    response = await answer_errors(make_mocked_request("POST", "/devices/query", app=app), throttled)
    assert (response.status, response.headers["Retry-After"]) == (429, "17")
    assert response.headers["iothub-errorcode"] == "ThrottlingException"
