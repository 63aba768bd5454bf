"""MQTT packets to bytes and back, and the bytes that no client may send."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetcert.local.mqtt.codec import decode, encode
from fleetcert.local.mqtt.framing import Frames, encode_length
from fleetcert.local.mqtt.packets import (
    Connack,
    ConnectPacket,
    Disconnect,
    MalformedPacket,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    UnsupportedProtocol,
    Will,
)

STRINGS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
NAMES = STRINGS.filter(bool)
TOPICS = NAMES.filter(lambda text: not set(text) & {"#", "+"})
PACKET_IDS = st.integers(1, 0xFFFF)
PAYLOADS = st.binary(max_size=300)
QOS = st.integers(0, 2)

WILLS = st.none() | st.builds(Will, TOPICS, PAYLOADS, QOS, st.booleans())
CONNECTS = st.one_of(
    st.builds(ConnectPacket, STRINGS, st.none(), st.none(), st.booleans(), st.integers(0, 0xFFFF), WILLS),
    st.builds(ConnectPacket, STRINGS, STRINGS, st.none() | PAYLOADS, st.booleans(), st.integers(0, 0xFFFF), WILLS),
)
PACKETS: st.SearchStrategy[Packet] = st.one_of(
    CONNECTS,
    st.builds(Connack, st.integers(0, 5), st.booleans()),
    st.builds(Publish, TOPICS, PAYLOADS, st.just(0), st.none(), st.booleans(), st.booleans()),
    st.builds(Publish, TOPICS, PAYLOADS, st.just(1), PACKET_IDS, st.booleans(), st.booleans()),
    st.builds(Puback, PACKET_IDS),
    st.builds(Subscribe, PACKET_IDS, st.lists(st.tuples(NAMES, QOS), min_size=1, max_size=4).map(tuple)),
    st.builds(Suback, PACKET_IDS, st.lists(st.sampled_from([0, 1, 0x80]), min_size=1).map(tuple)),
    st.builds(Unsubscribe, PACKET_IDS, st.lists(NAMES, min_size=1, max_size=4).map(tuple)),
    st.builds(Unsuback, PACKET_IDS),
    st.sampled_from([Pingreq(), Pingresp(), Disconnect()]),
)


def decoded(data: bytes) -> list[Packet]:
    return [decode(header, body) for header, body in Frames().feed(data)]


@settings(max_examples=40)
@given(PACKETS)
def test_every_packet_survives_the_wire(packet: Packet) -> None:
    assert decoded(encode(packet)) == [packet]


@settings(max_examples=40)
@given(st.lists(PACKETS, max_size=5), st.data())
def test_packets_come_out_whole_however_the_stream_is_cut(packets: list[Packet], data: st.DataObject) -> None:
    stream, frames, received = b"".join(map(encode, packets)), Frames(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        received += [decode(header, body) for header, body in frames.feed(stream[:cut])]
        stream = stream[cut:]
    assert received == packets


@settings(max_examples=40)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_packets_or_malformed_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(MalformedPacket, UnsupportedProtocol):
        decoded(data)


@settings(max_examples=40)
@given(CONNECTS | st.builds(Subscribe, PACKET_IDS, st.just((("a/#", 1),))), st.data())
def test_a_packet_that_lacks_its_end_is_malformed(packet: Packet, data: st.DataObject) -> None:
    whole = encode(packet)
    ((header, body),) = Frames().feed(whole)
    with pytest.raises(MalformedPacket):
        decode(header, body[: data.draw(st.integers(0, len(body) - 1))])


@pytest.mark.parametrize(
    ("header", "body"),
    [
        pytest.param(0x34, b"\0\1t\0\1", id="QoS 2"),
        pytest.param(0x36, b"\0\1t\0\1", id="QoS 3"),
        pytest.param(0x30, b"\0\1#", id="a wildcard in a topic name"),
        pytest.param(0x30, b"\0\0", id="an empty topic name"),
        pytest.param(0x32, b"\0\1t\0\0", id="packet identifier 0"),
        pytest.param(0x80, b"\0\1\0\1a\0", id="SUBSCRIBE without its reserved flags"),
        pytest.param(0x82, b"\0\1", id="SUBSCRIBE to nothing"),
        pytest.param(0x82, b"\0\1\0\1a\3", id="SUBSCRIBE with QoS 3"),
        pytest.param(0xA2, b"\0\1", id="UNSUBSCRIBE from nothing"),
        pytest.param(0xC0, b"x", id="PINGREQ with a body"),
        pytest.param(0x50, b"\0\1", id="PUBREC"),
        pytest.param(0x00, b"", id="type 0"),
        pytest.param(0xF0, b"", id="type 15"),
        pytest.param(0x30, b"\0\1\xff", id="a string that is not UTF-8"),
        pytest.param(0x30, b"\0\1\0", id="U+0000"),
        pytest.param(0x10, b"\0\4MQTT\4\1\0\0\0\0", id="CONNECT with its reserved flag"),
        pytest.param(0x10, b"\0\4MQTT\4\x42\0\0\0\0\0\0", id="a password without a user name"),
        pytest.param(0x10, b"\0\4MQTT\4\x22\0\0\0\0", id="a retained will that is none"),
        pytest.param(0x10, b"\0\4MQTX\4\2\0\0\0\0", id="another protocol"),
    ],
)
def test_what_the_standard_forbids_is_malformed(header: int, body: bytes) -> None:
    with pytest.raises(MalformedPacket):
        decode(header, body)


@pytest.mark.parametrize("level", [3, 5])
def test_another_protocol_level_is_told_apart_from_nonsense(level: int) -> None:
    with pytest.raises(UnsupportedProtocol):
        decode(0x10, b"\0\4MQTT" + bytes((level,)) + b"\2\0\0\0\0")


def test_an_excessive_length_is_refused_before_its_bytes_arrive() -> None:
    with pytest.raises(MalformedPacket):
        list(Frames(max_packet_bytes=100).feed(b"\x30" + encode_length(101)))


def test_a_length_of_five_bytes_is_malformed() -> None:
    with pytest.raises(MalformedPacket):
        list(Frames().feed(b"\x30\xff\xff\xff\xff\x01"))
