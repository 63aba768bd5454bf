"""The fields that MQTT packets are made of: integers, strings and binary data with a two-byte length."""

from __future__ import annotations

from fleetcert.local.mqtt.packets import MalformedPacket


class Reader:
    """Reads fields off a packet's body. Every method raises MalformedPacket where the body is too short."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._body)

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        end = self._at + length
        if end > len(self._body):
            raise MalformedPacket("a packet ends inside a field")
        taken = self._body[self._at : end]
        self._at = end
        return taken

    def byte(self) -> int:
        """One byte."""
        return self.take(1)[0]

    def uint16(self) -> int:
        """Two bytes, most significant first."""
        return int.from_bytes(self.take(2))

    def packet_id(self) -> int:
        """A packet identifier, which is never zero."""
        if not (identifier := self.uint16()):
            raise MalformedPacket("packet identifier 0")
        return identifier

    def binary(self) -> bytes:
        """Binary data behind its length."""
        return self.take(self.uint16())

    def string(self) -> str:
        """A UTF-8 string; U+0000 and surrogates are forbidden (MQTT-1.5.3)."""
        try:
            text = self.binary().decode("utf-8", "strict")
        except UnicodeDecodeError as problem:
            raise MalformedPacket("a string that is not UTF-8") from problem
        if "\0" in text:
            raise MalformedPacket("a string with U+0000")
        return text

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.take(len(self._body) - self._at)

    def end(self) -> None:
        """Raises: MalformedPacket where something is left."""
        if not self.exhausted:
            raise MalformedPacket("bytes after the packet's last field")


def uint16(value: int) -> bytes:
    """Two bytes, most significant first."""
    return value.to_bytes(2)


def binary(data: bytes) -> bytes:
    """Binary data behind its length."""
    return uint16(len(data)) + data


def string(text: str) -> bytes:
    """A UTF-8 string behind its length."""
    return binary(text.encode())
