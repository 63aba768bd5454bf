"""AMQP types that Python's own do not tell apart.

Python's `None, bool, int, float, str, bytes, UUID, list, dict` are AMQP's null, boolean, long, double, string, binary,
uuid, list and map. All others are subclasses of these, so that a value compares by what it says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


class UByte(int):
    """0 to 2^8 - 1."""


class UShort(int):
    """0 to 2^16 - 1."""


class UInt(int):
    """0 to 2^32 - 1."""


class ULong(int):
    """0 to 2^64 - 1."""


class Byte(int):
    """Signed, 8 bits."""


class Short(int):
    """Signed, 16 bits."""


class Int(int):
    """Signed, 32 bits."""


class Float32(float):
    """IEEE 754 binary32."""


class Decimal32(bytes):
    """IEEE 754 decimal32, kept as its 4 bytes: nothing here computes with decimals."""


class Decimal64(bytes):
    """IEEE 754 decimal64, kept as its 8 bytes."""


class Decimal128(bytes):
    """IEEE 754 decimal128, kept as its 16 bytes."""


class Char(str):
    """One Unicode character."""

    __slots__ = ()


class Symbol(str):
    """A symbolic value of a constrained domain, ASCII."""

    __slots__ = ()


class Timestamp(int):
    """Milliseconds since 1970-01-01 UTC."""

    @classmethod
    def of(cls, instant: datetime) -> Timestamp:
        """An aware datetime, cut to the millisecond."""
        return cls(int(instant.timestamp() * 1000))

    def to_datetime(self) -> datetime:
        """The instant in UTC. Raises: ValueError or OverflowError beyond the years that datetime knows."""
        return datetime.fromtimestamp(self / 1000, UTC)


@dataclass(frozen=True, slots=True)
class Described:
    """A value with a descriptor that says what it means."""

    descriptor: Any
    value: Any


@dataclass(frozen=True, slots=True)
class Array:
    """Values of one type, encoded under one constructor. An empty array has no type."""

    items: tuple[Any, ...] = ()
