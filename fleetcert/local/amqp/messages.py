"""Messages and their sections (AMQP 1.0, part 3, section 3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Self

from fleetcert.local.amqp.composites import Composite, WireSymbol, WireTimestamp, WireUInt, read_composite
from fleetcert.local.amqp.decoding import decode
from fleetcert.local.amqp.encoding import encode
from fleetcert.local.amqp.errors import DecodeError
from fleetcert.local.amqp.types import Described

HEADER: Final = 0x70
DELIVERY_ANNOTATIONS: Final = 0x71
MESSAGE_ANNOTATIONS: Final = 0x72
PROPERTIES: Final = 0x73
APPLICATION_PROPERTIES: Final = 0x74
DATA: Final = 0x75
SEQUENCE: Final = 0x76
VALUE: Final = 0x77
FOOTER: Final = 0x78


@dataclass(slots=True, kw_only=True)
class Header(Composite):
    """How the message is to be transported. ttl: milliseconds."""

    code: ClassVar[int] = HEADER
    durable: bool | None = None
    priority: Any = None
    ttl: WireUInt | None = None
    first_acquirer: bool | None = None
    delivery_count: WireUInt | None = None


@dataclass(slots=True, kw_only=True)
class Properties(Composite):
    """The immutable properties that the specification names. Ids are strings, uuids, ulongs or binary."""

    code: ClassVar[int] = PROPERTIES
    message_id: Any = None
    user_id: bytes | None = None
    to: str | None = None
    subject: str | None = None
    reply_to: str | None = None
    correlation_id: Any = None
    content_type: WireSymbol | None = None
    content_encoding: WireSymbol | None = None
    absolute_expiry_time: WireTimestamp | None = None
    creation_time: WireTimestamp | None = None
    group_id: str | None = None
    group_sequence: WireUInt | None = None
    reply_to_group_id: str | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a message. raw: its bytes with the descriptor."""

    code: int
    value: Any
    raw: bytes


def sections(message: bytes) -> Iterator[Section]:
    """A message's sections in order. Raises: DecodeError."""
    at = 0
    while at < len(message):
        value, end = decode(message, at)
        if not isinstance(value, Described) or not isinstance(value.descriptor, int):
            raise DecodeError("a message section without its descriptor")
        yield Section(value.descriptor, read_composite(value), message[at:end])
        at = end


def write_section(code: int, value: Any) -> bytes:
    """A section of a plain value: annotations, application properties, data or an AMQP value."""
    return b"\x00\x53" + bytes((code,)) + encode(value)


@dataclass(slots=True, kw_only=True)
class Message:
    """A whole message. data: the data sections' bytes, joined; value: an AMQP value where that is the body."""

    annotations: dict[Any, Any] = field(default_factory=dict)
    properties: Properties = field(default_factory=Properties)
    application_properties: dict[Any, Any] = field(default_factory=dict)
    data: bytes | None = None
    value: Any = None

    @classmethod
    def decode(cls, encoded: bytes) -> Self:
        """Header, delivery annotations and footer are left aside. Raises: DecodeError."""
        message = cls()
        for section in sections(encoded):
            message._take(section)
        return message

    def encode(self) -> bytes:
        """The message as bytes; sections without content are left out."""
        parts = [write_section(MESSAGE_ANNOTATIONS, self.annotations)] if self.annotations else []
        parts.append(self.properties.to_bytes())
        if self.application_properties:
            parts.append(write_section(APPLICATION_PROPERTIES, self.application_properties))
        parts.append(write_section(VALUE, self.value) if self.data is None else write_section(DATA, self.data))
        return b"".join(parts)

    @property
    def body(self) -> bytes:
        """The body as bytes, of data sections or of a string or binary value. Raises: DecodeError."""
        body = self.value if self.data is None else self.data
        if isinstance(body, str):
            return body.encode()
        if not isinstance(body, bytes):
            raise DecodeError("a body that is neither binary nor text")
        return body

    def _take(self, section: Section) -> None:
        if section.code == PROPERTIES:
            self.properties = _expect(Properties, section.value)
        elif section.code == MESSAGE_ANNOTATIONS:
            self.annotations = _expect(dict, _content(section))
        elif section.code == APPLICATION_PROPERTIES:
            self.application_properties = _expect(dict, _content(section))
        elif section.code == DATA:
            self.data = (self.data or b"") + _expect(bytes, _content(section))
        elif section.code == VALUE:
            self.value = _content(section)


def _content(section: Section) -> Any:
    return section.value.value if isinstance(section.value, Described) else section.value


def _expect[T](kind: type[T], value: Any) -> T:
    if not isinstance(value, kind):
        raise DecodeError(f"a section of {type(value).__name__} in place of {kind.__name__}")
    return value
