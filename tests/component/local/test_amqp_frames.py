"""Performatives, frames and messages."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcert.local.amqp.composites import Composite
from fleetcert.local.amqp.decoding import decode
from fleetcert.local.amqp.encoding import encode
from fleetcert.local.amqp.errors import ConnectionViolation, DecodeError
from fleetcert.local.amqp.frames import HEARTBEAT, MAX_FRAME_SIZE, Frame, FrameBuffer, write_frame
from fleetcert.local.amqp.messages import Message, Properties, sections
from fleetcert.local.amqp.performatives import (
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    End,
    Error,
    Flow,
    Open,
    Rejected,
    Source,
    Target,
    Transfer,
)
from fleetcert.local.amqp.types import Described, Symbol, UInt, ULong

EVERY_PERFORMATIVE: list[tuple[Composite, int]] = [
    (Open(container_id="c"), 10),
    (Begin(next_outgoing_id=0, incoming_window=1, outgoing_window=1), 8),
    (Attach(name="l", handle=0, role=True, source=Source(address="a"), target=Target(address="b")), 14),
    (Flow(incoming_window=1, next_outgoing_id=0, outgoing_window=1), 11),
    (Transfer(handle=0), 11),
    (Disposition(role=True, first=0, state=Rejected(error=Error(condition="amqp:not-found"))), 6),
    (Detach(handle=0, error=Error(condition="amqp:link:stolen", description="d")), 3),
    (End(), 1),
    (Close(), 1),
]


def received(data: bytes) -> Frame:
    buffer = FrameBuffer()
    buffer.feed(data)
    frame = buffer.frame()
    assert frame is not None
    return frame


@pytest.mark.parametrize(("performative", "count"), EVERY_PERFORMATIVE, ids=lambda value: type(value).__name__)
def test_a_performative_is_written_with_all_its_fields(performative: Composite, count: int) -> None:
    described, _ = decode(performative.to_bytes())
    assert len(described.value) == count


@pytest.mark.parametrize(("performative", "_count"), EVERY_PERFORMATIVE, ids=lambda value: type(value).__name__)
def test_a_performative_is_read_back(performative: Composite, _count: int) -> None:
    assert received(write_frame(5, performative, b"payload")).read() == (performative, b"payload")


def test_fields_that_a_peer_leaves_out_are_their_defaults() -> None:
    body = encode(Described(ULong(0x10), ["container"]))
    assert Frame(0, 0, body).read()[0] == Open(container_id="container")


@pytest.mark.parametrize(
    "fields",
    [[], [None], [5], ["c", 5], ["c", None, -1], ["c", None, "many"], ["c", *[None] * 10]],
    ids=["none", "null", "no string", "no host name", "negative", "no number", "too many"],
)
def test_an_open_that_is_malformed_is_a_decode_error(fields: list[object]) -> None:
    with pytest.raises(DecodeError):
        Frame(0, 0, encode(Described(ULong(0x10), fields))).read()


@pytest.mark.parametrize("body", [encode("text"), encode(Described(ULong(0x99), [])), encode(Described("x", []))])
def test_a_frame_without_a_performative_is_a_decode_error(body: bytes) -> None:
    with pytest.raises(DecodeError):
        Frame(0, 0, body).read()


def test_numbers_take_the_type_of_their_field() -> None:
    described, _ = decode(Flow(incoming_window=1, next_outgoing_id=2, outgoing_window=3).to_bytes())
    assert [type(described.value[index]) for index in (1, 2, 3)] == [UInt, UInt, UInt]


@given(st.lists(st.integers(1, 40)))
def test_frames_are_found_however_the_stream_is_cut(cuts: list[int]) -> None:
    stream = b"".join(write_frame(channel, End()) for channel in range(5)) + HEARTBEAT
    buffer, channels, at = FrameBuffer(), [], 0
    for size in [*cuts, len(stream)]:
        buffer.feed(stream[at : at + size])
        at += size
        while (frame := buffer.frame()) is not None:
            channels.append((frame.channel, bool(frame.body)))
    assert channels == [(0, True), (1, True), (2, True), (3, True), (4, True), (0, False)]


@pytest.mark.parametrize(
    "header",
    [
        (MAX_FRAME_SIZE + 1).to_bytes(4) + b"\x02\0\0\0",
        b"\0\0\0\x07\x02\0\0\0",
        b"\0\0\0\x10\x01\0\0\0",
        b"\0\0\0\x08\x03\0\0\0",
    ],
    ids=["too large", "smaller than its header", "data inside the header", "data behind the end"],
)
def test_a_frame_that_cannot_be_ends_the_connection(header: bytes) -> None:
    with pytest.raises(ConnectionViolation, match="framing-error"):
        received(header)


@given(st.binary(max_size=300))
def test_any_bytes_are_frames_or_a_violation(data: bytes) -> None:
    buffer = FrameBuffer()
    buffer.feed(data)
    try:
        while (frame := buffer.frame()) is not None:
            if frame.body:
                frame.read()
    except ConnectionViolation:
        pass


MESSAGE = Message(
    annotations={Symbol("iothub-message-source"): "twinChangeEvents"},
    properties=Properties(message_id="m", content_type=Symbol("application/json")),
    application_properties={"opType": "updateTwin"},
    data=b"{}",
)


def test_a_message_is_read_back() -> None:
    assert Message.decode(MESSAGE.encode()) == MESSAGE


def test_data_sections_are_one_body() -> None:
    assert Message.decode(Message(data=b"ab").encode() + b"\x00\x53\x75" + encode(b"cd")).body == b"abcd"


def test_a_value_may_be_the_body() -> None:
    assert Message.decode(Message(value="text").encode()).body == b"text"
    with pytest.raises(DecodeError):
        _ = Message(value=5).body


def test_the_sections_are_the_message() -> None:
    encoded = MESSAGE.encode()
    assert b"".join(section.raw for section in sections(encoded)) == encoded


@given(st.integers(0, len(MESSAGE.encode()) - 1), st.integers(0, 255))
def test_a_damaged_message_is_a_message_or_a_decode_error(position: int, octet: int) -> None:
    damaged = bytearray(MESSAGE.encode())
    damaged[position] = octet
    with contextlib.suppress(DecodeError):
        _ = Message.decode(bytes(damaged)).body
