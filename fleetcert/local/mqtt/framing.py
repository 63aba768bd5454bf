"""Cutting a byte stream into MQTT packets, within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fleetcert.local.mqtt.packets import MalformedPacket

MAX_PACKET_BYTES: Final = 320 * 1024
"""A device-to-cloud message of 256 KB (Azure docs: IoT Hub quotas) and the longest topic that MQTT can express."""

_MAX_LENGTH_BYTES: Final = 4


class Frames:
    """The packets of one connection: bytes in, (first header byte, body) out."""

    def __init__(self, max_packet_bytes: int = MAX_PACKET_BYTES) -> None:
        self._buffer = bytearray()
        self._max_packet_bytes = max_packet_bytes

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The packets that are complete now. Raises: MalformedPacket for a bad or an excessive length."""
        self._buffer += data
        while (frame := self._take()) is not None:
            yield frame

    def _take(self) -> tuple[int, bytes] | None:
        length = self._remaining_length()
        if length is None:
            return None
        body_length, start = length
        if body_length > self._max_packet_bytes:
            raise MalformedPacket(f"a packet of {body_length} bytes")
        end = start + body_length
        if len(self._buffer) < end:
            return None
        frame = self._buffer[0], bytes(self._buffer[start:end])
        del self._buffer[:end]
        return frame

    def _remaining_length(self) -> tuple[int, int] | None:
        """The length of the body and where it starts; None while its bytes are still on their way."""
        value = 0
        for position, byte in enumerate(self._buffer[1 : 1 + _MAX_LENGTH_BYTES]):
            value |= (byte & 0x7F) << (7 * position)
            if not byte & 0x80:
                return value, position + 2
        if len(self._buffer) > _MAX_LENGTH_BYTES:
            raise MalformedPacket("a remaining length of more than four bytes")
        return None


def encode_length(length: int) -> bytes:
    """The variable-length encoding of a packet's remaining length."""
    encoded = bytearray()
    while True:
        length, digit = length >> 7, length & 0x7F
        if not length:
            encoded.append(digit)
            return bytes(encoded)
        encoded.append(digit | 0x80)
