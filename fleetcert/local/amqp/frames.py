"""Frames on a byte stream (AMQP 1.0, part 2, section 2.3), without any I/O."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from fleetcert.local.amqp.composites import Composite, read_composite
from fleetcert.local.amqp.decoding import decode
from fleetcert.local.amqp.errors import ConnectionViolation, DecodeError

AMQP_HEADER: Final = b"AMQP\x00\x01\x00\x00"
SASL_HEADER: Final = b"AMQP\x03\x01\x00\x00"

AMQP_FRAME: Final = 0
SASL_FRAME: Final = 1

MAX_FRAME_SIZE: Final = 65_536
MIN_MAX_FRAME_SIZE: Final = 512
"""No peer may ask for smaller frames (section 2.7.1)."""

HEARTBEAT: Final = b"\x00\x00\x00\x08\x02\x00\x00\x00"
"""An empty frame: it only says that the sender lives."""

_PREFIX: Final = struct.Struct(">IBBH")


@dataclass(frozen=True, slots=True)
class Frame:
    """A received frame. body: empty for a heartbeat."""

    kind: int
    channel: int
    body: bytes

    def read(self) -> tuple[Composite, bytes]:
        """The performative and the payload behind it. Raises: DecodeError."""
        value, end = decode(self.body)
        performative = read_composite(value)
        if not isinstance(performative, Composite):
            raise DecodeError("a frame without a performative")
        return performative, self.body[end:]


def write_frame(channel: int, performative: Composite, payload: bytes = b"", kind: int = AMQP_FRAME) -> bytes:
    """A frame as bytes."""
    body = performative.to_bytes() + payload
    return _PREFIX.pack(len(body) + _PREFIX.size, 2, kind, channel) + body


class FrameBuffer:
    """Collects bytes as they come, and gives out what is complete."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        """Takes bytes in."""
        self._data += data

    def protocol_header(self) -> bytes | None:
        """The next eight bytes, or None as long as they are not there."""
        return self._take(8) if len(self._data) >= 8 else None

    def frame(self) -> Frame | None:
        """The next frame, or None as long as it is not complete. Raises: ConnectionViolation."""
        if len(self._data) < _PREFIX.size:
            return None
        size, offset, kind, channel = _PREFIX.unpack_from(self._data)
        if size > MAX_FRAME_SIZE or not _PREFIX.size <= offset * 4 <= size:
            raise ConnectionViolation("amqp:connection:framing-error", f"a frame of {size} bytes, data at {offset * 4}")
        if len(self._data) < size:
            return None
        return Frame(kind, channel, self._take(size)[offset * 4 :])

    def _take(self, size: int) -> bytes:
        taken = bytes(self._data[:size])
        del self._data[:size]
        return taken
