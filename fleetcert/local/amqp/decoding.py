"""AMQP bytes to Python values (AMQP 1.0, part 1: types). Whatever the bytes are, the only error is DecodeError."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from fleetcert.local.amqp.errors import DecodeError
from fleetcert.local.amqp.types import (
    Array,
    Byte,
    Char,
    Decimal32,
    Decimal64,
    Decimal128,
    Described,
    Float32,
    Int,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
)

MAX_DEPTH: Final = 32
"""Values may nest this deep. A peer could exhaust the stack otherwise."""

MAX_WEIGHTLESS: Final = 65_536
"""Elements of an array that take no bytes (nulls): a few bytes could demand gigabytes otherwise."""


def decode(data: bytes, at: int = 0) -> tuple[Any, int]:
    """The value that starts at `at`, and the position behind it. Raises: DecodeError."""
    reader = _Reader(data, at, len(data))
    value = reader.value(0)
    return value, reader.at


class _Reader:
    """Reads values between two positions."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int, end: int) -> None:
        self.data = data
        self.at = at
        self.end = end

    def take(self, size: int) -> bytes:
        start = self.at
        if start + size > self.end:
            raise DecodeError(f"{size} bytes expected at {start}, {self.end - start} are left")
        self.at = start + size
        return self.data[start : self.at]

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise DecodeError(f"values nest deeper than {MAX_DEPTH}")
        code = self.number(1)
        if code == 0:
            descriptor = self.value(depth + 1)
            return Described(descriptor, self.value(depth + 1))
        return self.body(code, depth)

    def body(self, code: int, depth: int) -> Any:
        if fixed := _FIXED.get(code):
            width, read = fixed
            return read(self.take(width))
        if variable := _VARIABLE.get(code):
            width, convert = variable
            return convert(self.take(self.number(width)))
        if compound := _COMPOUND.get(code):
            width, build = compound
            return build(*self.enclosed(width), depth + 1)
        raise DecodeError(f"0x{code:02x} is no type")

    def enclosed(self, width: int) -> tuple[_Reader, int]:
        """A reader of the compound value that starts here, behind its count, and that count."""
        size = self.number(width)
        start = self.at
        self.take(size)
        inner = _Reader(self.data, start, self.at)
        return inner, inner.number(width)

    def finish(self) -> None:
        if self.at != self.end:
            raise DecodeError(f"{self.end - self.at} bytes are left over in a compound value")


def _list(reader: _Reader, count: int, depth: int) -> list[Any]:
    if count > reader.end - reader.at:
        raise DecodeError(f"{count} values in {reader.end - reader.at} bytes")
    items = [reader.value(depth) for _ in range(count)]
    reader.finish()
    return items


def _map(reader: _Reader, count: int, depth: int) -> dict[Any, Any]:
    items = _list(reader, count, depth)
    if count % 2:
        raise DecodeError("a map with a key that has no value")
    try:
        return dict(zip(items[::2], items[1::2], strict=True))
    except TypeError as unhashable:
        raise DecodeError("a map key that is a list, a map or an array") from unhashable


def _array(reader: _Reader, count: int, depth: int) -> Array:
    if depth > MAX_DEPTH:
        raise DecodeError(f"values nest deeper than {MAX_DEPTH}")
    if count == 0:
        return Array()
    descriptors = []
    while (code := reader.number(1)) == 0:
        descriptors.append(reader.value(depth))
    if count > max(reader.end - reader.at, MAX_WEIGHTLESS if code in _WEIGHTLESS else 0):
        raise DecodeError(f"{count} values in {reader.end - reader.at} bytes")
    items = tuple(_described(reader.body(code, depth), descriptors) for _ in range(count))
    reader.finish()
    return Array(items)


def _described(value: Any, descriptors: list[Any]) -> Any:
    for descriptor in reversed(descriptors):
        value = Described(descriptor, value)
    return value


def _unsigned(kind: Callable[[int], Any]) -> Callable[[bytes], Any]:
    return lambda data: kind(int.from_bytes(data, "big"))


def _signed(kind: Callable[[int], Any]) -> Callable[[bytes], Any]:
    return lambda data: kind(int.from_bytes(data, "big", signed=True))


def _text(kind: Callable[[str], str], encoding: str) -> Callable[[bytes], str]:
    def convert(data: bytes) -> str:
        try:
            return kind(data.decode(encoding))
        except UnicodeDecodeError as problem:
            raise DecodeError(f"text that is not {encoding}") from problem

    return convert


def _boolean(data: bytes) -> bool:
    if data[0] > 1:
        raise DecodeError(f"a boolean of {data[0]}")
    return bool(data[0])


def _char(data: bytes) -> Char:
    code_point = int.from_bytes(data, "big")
    if code_point > 0x10FFFF:
        raise DecodeError(f"no character has the number {code_point}")
    return Char(chr(code_point))


_FLOAT: Final = struct.Struct(">f")
_DOUBLE: Final = struct.Struct(">d")

_FIXED: Final[dict[int, tuple[int, Callable[[bytes], Any]]]] = {
    0x40: (0, lambda _: None),
    0x41: (0, lambda _: True),
    0x42: (0, lambda _: False),
    0x43: (0, lambda _: UInt(0)),
    0x44: (0, lambda _: ULong(0)),
    0x45: (0, lambda _: []),
    0x50: (1, _unsigned(UByte)),
    0x51: (1, _signed(Byte)),
    0x52: (1, _unsigned(UInt)),
    0x53: (1, _unsigned(ULong)),
    0x54: (1, _signed(Int)),
    0x55: (1, _signed(int)),
    0x56: (1, _boolean),
    0x60: (2, _unsigned(UShort)),
    0x61: (2, _signed(Short)),
    0x70: (4, _unsigned(UInt)),
    0x71: (4, _signed(Int)),
    0x72: (4, lambda data: Float32(_FLOAT.unpack(data)[0])),
    0x73: (4, _char),
    0x74: (4, Decimal32),
    0x80: (8, _unsigned(ULong)),
    0x81: (8, _signed(int)),
    0x82: (8, lambda data: _DOUBLE.unpack(data)[0]),
    0x83: (8, _signed(Timestamp)),
    0x84: (8, Decimal64),
    0x94: (16, Decimal128),
    0x98: (16, lambda data: UUID(bytes=data)),
}
_WEIGHTLESS: Final = frozenset(code for code, (width, _) in _FIXED.items() if width == 0)

_VARIABLE: Final[dict[int, tuple[int, Callable[[bytes], Any]]]] = {
    0xA0: (1, bytes),
    0xA1: (1, _text(str, "utf-8")),
    0xA3: (1, _text(Symbol, "ascii")),
    0xB0: (4, bytes),
    0xB1: (4, _text(str, "utf-8")),
    0xB3: (4, _text(Symbol, "ascii")),
}
_COMPOUND: Final[dict[int, tuple[int, Callable[[_Reader, int, int], Any]]]] = {
    0xC0: (1, _list),
    0xC1: (1, _map),
    0xD0: (4, _list),
    0xD1: (4, _map),
    0xE0: (1, _array),
    0xF0: (4, _array),
}
