"""One MQTT connection against a session that notes what reaches it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fleetcert.local.mqtt.codec import decode, encode
from fleetcert.local.mqtt.connection import Connection
from fleetcert.local.mqtt.framing import Frames
from fleetcert.local.mqtt.packets import (
    Connack,
    ConnectPacket,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
)
from fleetcert.local.mqtt.server import MqttServer
from fleetcert.local.ports import Connect, MqttConnection, MqttSession, Refused


class FakeTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__({"peer_chain": ["the leaf"]})
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


class NotingSession:
    """Implements MqttSession."""

    session_present = True

    def __init__(self) -> None:
        self.noted: list[tuple[Any, ...]] = []

    def on_publish(self, topic: str, payload: bytes, qos: int) -> None:
        self.noted.append(("publish", topic, payload, qos))

    def on_subscribe(self, topic_filter: str, qos: int) -> int:
        return 0x80 if topic_filter == "refused" else min(qos, 1)

    def on_unsubscribe(self, topic_filter: str) -> None:
        self.noted.append(("unsubscribe", topic_filter))

    def on_puback(self, packet_id: int) -> None:
        self.noted.append(("puback", packet_id))

    def on_closed(self) -> None:
        self.noted.append(("closed",))


class OneService:
    """Implements MqttEndpoint for user names that begin with `mine`."""

    def __init__(self) -> None:
        self.connects: list[Connect] = []
        self.session = NotingSession()

    def claims(self, connect: Connect) -> bool:
        return connect.user_name.startswith("mine")

    def accept(self, connect: Connect, connection: MqttConnection) -> MqttSession:
        self.connects.append(connect)
        if connect.client_id == "unwanted":
            raise Refused(5, "not you")
        return self.session


class Client:
    """The far end of a connection."""

    def __init__(self, service: OneService, *, connect_timeout_seconds: float = 5) -> None:
        self.transport = FakeTransport()
        self.service = service
        self.connection: Connection = MqttServer([service], connect_timeout_seconds=connect_timeout_seconds).protocol()
        self.connection.connection_made(self.transport)

    def send(self, *packets: Packet) -> list[Packet]:
        """Sends, and returns what the server has answered."""
        self.connection.data_received(b"".join(map(encode, packets)))
        return self.received()

    def received(self) -> list[Packet]:
        data, self.transport.written = bytes(self.transport.written), bytearray()
        return [decode(header, body) for header, body in Frames().feed(data)]


@pytest.fixture
async def client() -> Client:
    return Client(OneService())


HELLO = ConnectPacket("dev-1", "mine/dev-1", b"secret", clean_session=False, keep_alive_seconds=0)


async def test_an_accepted_connect_reaches_its_service_with_the_presented_chain(client: Client) -> None:
    assert client.send(HELLO) == [Connack(0, session_present=True)]
    (connect,) = client.service.connects
    assert (connect.client_id, connect.user_name, connect.password) == ("dev-1", "mine/dev-1", b"secret")
    assert list(connect.peer_chain) == ["the leaf"]


async def test_a_refused_connect_is_answered_and_closed(client: Client) -> None:
    assert client.send(ConnectPacket("unwanted", "mine/unwanted")) == [Connack(5)]
    assert client.transport.closed


async def test_a_connect_that_no_service_claims_is_refused(client: Client) -> None:
    assert client.send(ConnectPacket("dev-1", "somebody else")) == [Connack(5)]
    assert client.transport.closed


async def test_another_protocol_level_gets_connack_1(client: Client) -> None:
    client.connection.data_received(b"\x10\x0c\0\4MQTT\5\2\0\0\0\0")
    assert client.received() == [Connack(1)]
    assert client.transport.closed


@pytest.mark.parametrize("packet", [Pingreq(), Publish("t", b""), Disconnect()])
async def test_nothing_is_served_before_connect(client: Client, packet: Packet) -> None:
    assert client.send(packet, HELLO) == []
    assert client.transport.closed


async def test_a_second_connect_closes_the_connection(client: Client) -> None:
    assert client.send(HELLO, HELLO) == [Connack(0, session_present=True)]
    assert client.transport.closed


async def test_a_publish_of_qos_1_is_acknowledged_and_one_of_qos_0_is_not(client: Client) -> None:
    client.send(HELLO)
    assert client.send(Publish("a", b"1", 1, 7), Publish("b", b"0")) == [Puback(7)]
    assert client.service.session.noted == [("publish", "a", b"1", 1), ("publish", "b", b"0", 0)]


async def test_subscriptions_are_granted_one_by_one(client: Client) -> None:
    client.send(HELLO)
    wanted = Subscribe(9, (("a", 0), ("refused", 1), ("b", 2)))
    assert client.send(wanted) == [Suback(9, (0, 0x80, 1))]
    assert client.send(Unsubscribe(10, ("a",))) == [Unsuback(10)]
    assert client.service.session.noted == [("unsubscribe", "a")]


async def test_only_acknowledgements_of_what_was_sent_reach_the_session(client: Client) -> None:
    client.send(HELLO)
    first = client.connection.publish("t", b"x", 1)
    assert first is not None
    client.send(Puback(first), Puback(first), Puback(first + 1))
    assert client.service.session.noted == [("puback", first)]


async def test_packet_ids_are_not_given_twice_while_they_are_unacknowledged(client: Client) -> None:
    client.send(HELLO)
    assert [client.connection.publish("t", b"", 1) for _ in range(3)] == [1, 2, 3]
    client.send(Puback(2))
    client.connection._last_packet_id = 0xFFFE
    assert [client.connection.publish("t", b"", 1) for _ in range(3)] == [0xFFFF, 2, 4]


async def test_a_ping_is_answered(client: Client) -> None:
    client.send(HELLO)
    assert client.send(Pingreq()) == [Pingresp()]


async def test_disconnect_closes_and_nothing_after_it_is_served(client: Client) -> None:
    client.send(HELLO)
    client.send(Disconnect(), Publish("late", b""))
    client.connection.connection_lost(None)
    assert client.service.session.noted == [("closed",)]


async def test_the_session_hears_of_the_end_once(client: Client) -> None:
    client.send(HELLO)
    client.connection.connection_lost(None)
    client.connection.connection_lost(None)
    assert client.service.session.noted == [("closed",)]


async def test_a_client_that_never_connects_is_dropped() -> None:
    client = Client(OneService(), connect_timeout_seconds=0.01)
    await asyncio.sleep(0.05)
    assert client.transport.closed


async def test_a_client_that_falls_silent_is_dropped_after_one_and_a_half_keep_alives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []
    loop = asyncio.get_running_loop()
    real = loop.call_later
    monkeypatch.setattr(loop, "call_later", lambda delay, *args: waits.append(delay) or real(0.01, *args))
    client = Client(OneService())
    client.send(ConnectPacket("dev-1", "mine/dev-1", keep_alive_seconds=60))
    assert waits[-1] == 90
    await asyncio.sleep(0.05)
    assert client.transport.closed
