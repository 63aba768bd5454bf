"""Python values to AMQP bytes (AMQP 1.0, part 1: types)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

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


def encode(value: object) -> bytes:
    """The value with its constructor, in its shortest form.

    Raises: TypeError for a type that AMQP has not, OverflowError for a number that its type cannot hold, ValueError for
    an array of several types or a decimal of the wrong width.
    """
    if isinstance(value, Described):
        return b"\x00" + encode(value.descriptor) + encode(value.value)
    form = _form(value)
    if form.compact is not None:
        return form.compact(value)
    return bytes((form.code,)) + form.body(value)


def encode_list(items: Iterable[bytes]) -> bytes:
    """A list of values that are encoded already."""
    encoded = list(items)
    return _compound(0xC0, 0xD0, len(encoded), b"".join(encoded)) if encoded else b"\x45"


@dataclass(frozen=True, slots=True)
class _Form:
    """How a type is written. code, body: its widest form, which arrays need. compact: constructor and all, shorter."""

    code: int
    body: Callable[[Any], bytes]
    compact: Callable[[Any], bytes] | None = None


def _form(value: object) -> _Form:
    form = _FORMS.get(type(value))
    if form is None:
        raise TypeError(f"AMQP has no type for {type(value).__name__}")
    return form


def _fixed(width: int, *, signed: bool) -> Callable[[int], bytes]:
    return lambda value: int(value).to_bytes(width, "big", signed=signed)


def _small_or_wide(zero: int | None, small: int, wide: int, width: int, *, signed: bool) -> Callable[[int], bytes]:
    low, high = (-128, 127) if signed else (0, 255)

    def compact(value: int) -> bytes:
        if value == 0 and zero is not None:
            return bytes((zero,))
        if low <= value <= high:
            return bytes((small,)) + int(value).to_bytes(1, "big", signed=signed)
        return bytes((wide,)) + int(value).to_bytes(width, "big", signed=signed)

    return compact


def _exactly(width: int) -> Callable[[bytes], bytes]:
    def body(value: bytes) -> bytes:
        if len(value) != width:
            raise ValueError(f"a decimal of {width} bytes has {len(value)}")
        return bytes(value)

    return body


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _variable(small: int, wide: int, to_bytes: Callable[[Any], bytes]) -> _Form:
    def compact(value: Any) -> bytes:
        data = to_bytes(value)
        return bytes((small, len(data))) + data if len(data) < 256 else bytes((wide,)) + _sized(data)

    return _Form(wide, lambda value: _sized(to_bytes(value)), compact)


def _compound(small: int, wide: int, count: int, body: bytes) -> bytes:
    if len(body) < 255 and count < 256:
        return bytes((small, len(body) + 1, count)) + body
    return bytes((wide,)) + _wide_compound(count, body)


def _wide_compound(count: int, body: bytes) -> bytes:
    return _sized(count.to_bytes(4, "big") + body)


def _list_body(items: list[Any]) -> bytes:
    return _wide_compound(len(items), b"".join(map(encode, items)))


def _list_compact(items: list[Any]) -> bytes:
    return encode_list(map(encode, items))


def _map_pairs(pairs: Mapping[Any, Any]) -> bytes:
    return b"".join(encode(key) + encode(value) for key, value in pairs.items())


def _map_compact(pairs: Mapping[Any, Any]) -> bytes:
    return _compound(0xC1, 0xD1, 2 * len(pairs), _map_pairs(pairs))


def _array_constructor(value: object) -> bytes:
    if isinstance(value, Described):
        return b"\x00" + encode(value.descriptor) + _array_constructor(value.value)
    return bytes((_form(value).code,))


def _array_element(value: object) -> bytes:
    return _array_element(value.value) if isinstance(value, Described) else _form(value).body(value)


def _array_body(array: Array) -> bytes:
    constructors = {_array_constructor(item) for item in array.items} or {b"\x40"}
    if len(constructors) > 1:
        raise ValueError("an array holds values of one type")
    return _wide_compound(len(array.items), constructors.pop() + b"".join(map(_array_element, array.items)))


_FORMS: Final[dict[type, _Form]] = {
    type(None): _Form(0x40, lambda _: b""),
    bool: _Form(0x56, lambda value: bytes((value,)), lambda value: b"\x41" if value else b"\x42"),
    UByte: _Form(0x50, _fixed(1, signed=False)),
    UShort: _Form(0x60, _fixed(2, signed=False)),
    UInt: _Form(0x70, _fixed(4, signed=False), _small_or_wide(0x43, 0x52, 0x70, 4, signed=False)),
    ULong: _Form(0x80, _fixed(8, signed=False), _small_or_wide(0x44, 0x53, 0x80, 8, signed=False)),
    Byte: _Form(0x51, _fixed(1, signed=True)),
    Short: _Form(0x61, _fixed(2, signed=True)),
    Int: _Form(0x71, _fixed(4, signed=True), _small_or_wide(None, 0x54, 0x71, 4, signed=True)),
    int: _Form(0x81, _fixed(8, signed=True), _small_or_wide(None, 0x55, 0x81, 8, signed=True)),
    Float32: _Form(0x72, struct.Struct(">f").pack),
    float: _Form(0x82, struct.Struct(">d").pack),
    Decimal32: _Form(0x74, _exactly(4)),
    Decimal64: _Form(0x84, _exactly(8)),
    Decimal128: _Form(0x94, _exactly(16)),
    Char: _Form(0x73, lambda value: ord(value).to_bytes(4, "big")),
    Timestamp: _Form(0x83, _fixed(8, signed=True)),
    UUID: _Form(0x98, lambda value: value.bytes),
    bytes: _variable(0xA0, 0xB0, bytes),
    str: _variable(0xA1, 0xB1, lambda value: value.encode()),
    Symbol: _variable(0xA3, 0xB3, lambda value: value.encode("ascii")),
    list: _Form(0xD0, _list_body, _list_compact),
    dict: _Form(0xD1, lambda value: _wide_compound(2 * len(value), _map_pairs(value)), _map_compact),
    Array: _Form(0xF0, _array_body),
}
