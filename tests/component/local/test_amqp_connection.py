"""The server as a peer on the wire meets it: headers, SASL, tokens, sessions, links, credit and time-outs."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.amqp_peer import CONSUMER, FixedClock, Hub, Keys, Peer, credit, sas

from fleetcert.local.amqp import connection as connection_module
from fleetcert.local.amqp.frames import HEARTBEAT, SASL_FRAME, SASL_HEADER, write_frame
from fleetcert.local.amqp.messages import Message, Properties
from fleetcert.local.amqp.performatives import (
    Accepted,
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    End,
    Flow,
    Open,
    Rejected,
    SaslInit,
    Transfer,
)
from fleetcert.local.amqp.server import AmqpServer
from fleetcert.local.eventhubs.hubs import EventHubs
from fleetcert.local.ports import RoutedEvent


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def event_hubs(clock: FixedClock) -> EventHubs:
    return EventHubs({"hub": 1}, clock=clock)


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def server(event_hubs: EventHubs, hub: Hub, clock: FixedClock) -> AmqpServer:
    return AmqpServer(event_hubs, hub, Keys(), clock)


@pytest.fixture
async def peer(server: AmqpServer) -> Peer:
    return Peer(server)


@pytest.fixture
async def user(peer: Peer) -> Peer:
    """A peer that is open and may use the event hub."""
    await peer.opens()
    await peer.may_use_event_hubs()
    return peer


def transfer(payload: bytes, **options: object) -> bytes:
    fields = {"handle": 0, "delivery_id": 0, "delivery_tag": b"t"} | options
    return write_frame(0, Transfer(**fields), payload)  # type: ignore[arg-type]


def stored(event_hubs: EventHubs) -> list[bytes]:
    return [event.message.body for event in event_hubs.events("hub")]


async def test_a_message_is_accepted_and_stored(user: Peer, event_hubs: EventHubs) -> None:
    await user.attaches(0, to="hub")
    await user.says(transfer(Message(data=b"one").encode()))
    assert user.answers() == [Disposition(role=True, first=0, last=0, settled=True, state=Accepted())]
    assert stored(event_hubs) == [b"one"]


async def test_a_message_in_parts_is_one_message(user: Peer, event_hubs: EventHubs) -> None:
    await user.attaches(0, to="hub")
    encoded = Message(data=b"in parts").encode()
    await user.says(transfer(encoded[:5], more=True), transfer(encoded[5:9], more=True), transfer(encoded[9:]))
    assert stored(event_hubs) == [b"in parts"]


async def test_an_aborted_message_is_forgotten(user: Peer, event_hubs: EventHubs) -> None:
    await user.attaches(0, to="hub")
    encoded = Message(data=b"x").encode()
    await user.says(transfer(encoded[:5], more=True), transfer(b"", aborted=True), transfer(encoded, delivery_id=1))
    assert stored(event_hubs) == [b"x"]


async def test_a_settled_message_gets_no_disposition(user: Peer, event_hubs: EventHubs) -> None:
    await user.attaches(0, to="hub")
    await user.says(transfer(Message(data=b"one").encode(), settled=True))
    assert user.answers() == []
    assert stored(event_hubs) == [b"one"]


async def test_a_malformed_message_is_rejected_and_the_link_lives_on(user: Peer, event_hubs: EventHubs) -> None:
    await user.attaches(0, to="hub")
    await user.says(transfer(b"\x00\x53\x75\xff"), transfer(Message(data=b"good").encode(), delivery_id=1))
    rejected, accepted = user.answers()
    assert isinstance(rejected, Disposition)
    assert isinstance(rejected.state, Rejected)
    assert rejected.state.error is not None
    assert rejected.state.error.condition == "amqp:decode-error"
    assert isinstance(accepted, Disposition)
    assert accepted.state == Accepted()
    assert stored(event_hubs) == [b"good"]


async def test_a_message_beyond_the_links_limit_detaches_it(user: Peer, event_hubs: EventHubs) -> None:
    attached, _ = await user.attaches(0, to="hub")
    assert isinstance(attached, Attach)
    assert attached.max_message_size == 1024 * 1024
    for _ in range(18):
        await user.says(transfer(b"x" * 60_000, more=True))
    (detached,) = user.answers()
    assert isinstance(detached, Detach)
    assert detached.error is not None
    assert detached.error.condition == "amqp:link:message-size-exceeded"
    assert stored(event_hubs) == []


async def test_credit_is_renewed_before_it_is_used_up(user: Peer) -> None:
    _, first = await user.attaches(0, to="hub")
    assert isinstance(first, Flow)
    for number in range(150):
        await user.says(transfer(Message(data=b"x").encode(), delivery_id=number, settled=True))
    (renewed,) = user.answers()
    assert isinstance(renewed, Flow)
    assert (renewed.delivery_count, renewed.link_credit) == (150, first.link_credit)


@pytest.mark.parametrize("grants", [(2, 1, 2), (5,), (1, 1, 1)])
async def test_a_consumer_gets_no_more_than_its_credit(
    user: Peer, event_hubs: EventHubs, grants: tuple[int, ...]
) -> None:
    for number in range(5):
        event_hubs.publish("hub", RoutedEvent(str(number).encode(), "key"))
    await user.attaches(0, source=CONSUMER)
    seen = 0
    for amount in grants:
        await user.says(write_frame(0, credit(0, amount, seen=seen)))
        bodies = [Message.decode(payload).body for _, payload in user.frames()]
        assert bodies == [str(number).encode() for number in range(seen, seen + amount)]
        seen += amount


async def test_an_event_that_comes_later_is_sent_at_once(user: Peer, event_hubs: EventHubs) -> None:
    await user.attaches(0, source=CONSUMER)
    await user.sends(credit(0, 10))
    event_hubs.publish("hub", RoutedEvent(b"late", "key"))
    await asyncio.sleep(0)
    ((_, payload),) = user.frames()
    assert Message.decode(payload).body == b"late"


async def test_drain_gives_the_credit_back(user: Peer) -> None:
    await user.attaches(0, source=CONSUMER)
    (flow,) = await user.sends(credit(0, 10, drain=True))
    assert isinstance(flow, Flow)
    assert (flow.delivery_count, flow.link_credit, flow.drain) == (10, 0, True)


async def test_a_large_event_waits_for_the_sessions_window(user: Peer, event_hubs: EventHubs) -> None:
    event_hubs.publish("hub", RoutedEvent(b"x" * 200_000, "key"))
    await user.attaches(0, source=CONSUMER)
    await user.says(write_frame(0, credit(0, 10, window=3)))  # one of the three was the answer of $cbs
    parts = user.frames()
    assert [part.more for part, _ in parts if isinstance(part, Transfer)] == [True, True]
    await user.says(write_frame(0, replace(credit(0, 10, window=10), next_incoming_id=3)))
    parts += user.frames()
    assert [part.more for part, _ in parts if isinstance(part, Transfer)] == [True, True, True, False]
    assert Message.decode(b"".join(payload for _, payload in parts)).body == b"x" * 200_000


async def test_a_slow_reader_stops_the_flow_and_starts_it_again(user: Peer, event_hubs: EventHubs) -> None:
    await user.attaches(0, source=CONSUMER)
    await user.sends(credit(0, 10))
    user.connection.pause_writing()
    event_hubs.publish("hub", RoutedEvent(b"x", "key"))
    await asyncio.sleep(0)
    assert user.answers() == []
    user.connection.resume_writing()
    await asyncio.sleep(0)
    assert len(user.answers()) == 1


async def test_a_detach_is_answered(user: Peer) -> None:
    await user.attaches(0, to="hub")
    assert await user.sends(Detach(handle=0, closed=True)) == [Detach(handle=0, closed=True)]


async def test_frames_for_a_link_that_we_detached_are_left_aside(user: Peer) -> None:
    await user.attaches(0, to="nothing")
    await user.says(transfer(b"in flight"))
    assert user.answers() == []
    assert await user.sends(Detach(handle=0, closed=True)) == []
    attached, _ = await user.attaches(0, to="hub")
    assert isinstance(attached, Attach)


async def test_a_handle_that_nothing_is_attached_to_ends_the_session_only(user: Peer) -> None:
    (ended,) = await user.sends(Transfer(handle=9))
    assert isinstance(ended, End)
    assert ended.error is not None
    assert ended.error.condition == "amqp:session:unattached-handle"
    assert await user.sends(End()) == []
    (begun,) = await user.sends(Begin(next_outgoing_id=0, incoming_window=1, outgoing_window=1), channel=1)
    assert isinstance(begun, Begin)


async def test_a_handle_in_use_ends_the_session(user: Peer) -> None:
    await user.attaches(0, to="hub")
    (ended,) = await user.attaches(0, to="hub")
    assert isinstance(ended, End)
    assert ended.error is not None
    assert ended.error.condition == "amqp:session:handle-in-use"


@pytest.mark.parametrize(
    ("frame", "condition"),
    [
        (b"\xff\xff\xff\xff\x02\x00\x00\x00", "amqp:connection:framing-error"),
        (b"\x00\x00\x00\x09\x02\x00\x00\x00\x3f", "amqp:decode-error"),
        (write_frame(0, Open(container_id="again")), "amqp:illegal-state"),
        (write_frame(7, Detach(handle=0)), "amqp:not-allowed"),
        (write_frame(0, Begin(next_outgoing_id=0, incoming_window=1, outgoing_window=1)), "amqp:not-allowed"),
    ],
)
async def test_a_violation_closes_the_connection_with_its_condition(user: Peer, frame: bytes, condition: str) -> None:
    await user.says(frame)
    (closed,) = user.answers()
    assert isinstance(closed, Close)
    assert closed.error is not None
    assert closed.error.condition == condition
    assert user.socket.closed


async def test_a_frame_size_below_the_minimum_is_refused(peer: Peer) -> None:
    answers = await peer.opens(max_frame_size=100)
    closed = answers[1]
    assert isinstance(closed, Close)
    assert closed.error is not None
    assert closed.error.condition == "amqp:invalid-field"


async def test_close_is_answered_with_close(user: Peer) -> None:
    assert await user.sends(Close()) == [Close()]
    assert user.socket.closed


@given(st.binary(max_size=400))
def test_no_bytes_take_the_server_down(data: bytes) -> None:
    async def speak() -> None:
        server = AmqpServer(EventHubs({"hub": 1}), None, Keys())
        for stage in (b"", SASL_HEADER, SASL_HEADER + write_frame(0, SaslInit(mechanism="ANONYMOUS"), kind=SASL_FRAME)):
            peer = Peer(server)
            await peer.says(stage + data)
            peer.connection.connection_lost(None)
        healthy = Peer(server)
        assert len(await healthy.opens()) == 2
        healthy.connection.connection_lost(None)

    asyncio.run(speak())


async def test_heartbeats_keep_a_peers_time_out_from_running_out(
    server: AmqpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "TICK_SECONDS", 0.001)
    peer = Peer(server)
    await peer.opens(idle_time_out=3)
    await asyncio.sleep(0.02)
    assert HEARTBEAT in peer.socket.written


async def test_a_peer_that_says_nothing_is_closed(server: AmqpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "TICK_SECONDS", 0.001)
    monkeypatch.setattr(connection_module, "IDLE_TIMEOUT_SECONDS", 0.005)
    peer = Peer(server)
    await peer.opens()
    await asyncio.sleep(0.03)
    (closed,) = peer.answers()
    assert isinstance(closed, Close)
    assert peer.socket.closed


async def test_a_cloud_to_device_message_reaches_the_hub_and_a_refusal_the_sender(peer: Peer, hub: Hub) -> None:
    await peer.opens()
    key = b"k" * 32
    assert (await peer.puts_token("https://localhost:443", sas("localhost:443", key))).application_properties[
        "status-code"
    ] == 202
    attached, _ = await peer.attaches(0, to="amqps://localhost:443/messages/devicebound")
    assert isinstance(attached, Attach)
    assert attached.max_message_size == 65_536
    for number, device in enumerate(("d1", "d2")):
        to = Properties(to=f"/devices/{device}/messages/devicebound", message_id="m")
        await peer.says(transfer(Message(properties=to, data=b"{}").encode(), delivery_id=number))
    accepted, refused = peer.answers()
    assert isinstance(accepted, Disposition)
    assert accepted.state == Accepted()
    assert isinstance(refused, Disposition)
    assert isinstance(refused.state, Rejected)
    assert refused.state.error is not None
    assert refused.state.error.condition == "amqp:not-found"
    assert [message.device_id for message in hub.messages] == ["d1"]
