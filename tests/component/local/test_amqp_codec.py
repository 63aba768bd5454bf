"""AMQP's type system: what is written is read back, and no bytes do worse than fail by name."""

from __future__ import annotations

import contextlib
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetcert.local.amqp.decoding import MAX_DEPTH, decode
from fleetcert.local.amqp.encoding import encode
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


def unsigned(kind: type[int], bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1).map(kind)


def signed(kind: type[int], bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).map(kind)


SIMPLE = [
    st.none(),
    st.booleans(),
    unsigned(UByte, 8),
    unsigned(UShort, 16),
    unsigned(UInt, 32),
    unsigned(ULong, 64),
    signed(Byte, 8),
    signed(Short, 16),
    signed(Int, 32),
    signed(int, 64),
    st.floats(width=32, allow_nan=False).map(Float32),
    st.floats(allow_nan=False),
    st.binary(min_size=4, max_size=4).map(Decimal32),
    st.binary(min_size=8, max_size=8).map(Decimal64),
    st.binary(min_size=16, max_size=16).map(Decimal128),
    st.characters().map(Char),
    signed(Timestamp, 64),
    st.uuids(),
    st.binary(max_size=300),
    st.text(max_size=300),
    st.text(st.characters(max_codepoint=127), max_size=300).map(Symbol),
]
SIMPLE_VALUES = st.one_of(SIMPLE)
DESCRIPTORS = st.one_of(unsigned(ULong, 64), st.just(Symbol("apache.org:selector-filter:string")))
ARRAYS = st.one_of([st.lists(kind, max_size=5).map(tuple).map(Array) for kind in SIMPLE])
DESCRIBED_ARRAYS = st.lists(st.integers(0, 9).map(lambda n: Described(ULong(7), n)), max_size=5).map(tuple).map(Array)

VALUES = st.recursive(
    st.one_of(SIMPLE_VALUES, ARRAYS, DESCRIBED_ARRAYS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.text(max_size=5), inner, max_size=5),
        st.builds(Described, DESCRIPTORS, inner),
    ),
    max_leaves=10,
)


def same(one: Any, other: Any) -> bool:
    """Equal and, all the way down, of the same type: UInt(1) == 1 is not enough."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Described):
        return same(one.descriptor, other.descriptor) and same(one.value, other.value)
    if isinstance(one, Array):
        return same(list(one.items), list(other.items))
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


@given(VALUES)
def test_every_value_is_read_back_as_it_was_written(value: Any) -> None:
    encoded = encode(value)
    decoded, end = decode(encoded)
    assert same(decoded, value)
    assert end == len(encoded)


@given(VALUES, st.binary(max_size=8))
def test_what_follows_a_value_is_left_alone(value: Any, rest: bytes) -> None:
    encoded = encode(value)
    assert decode(encoded + rest)[1] == len(encoded)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_decode_error(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        decode(data)


@given(VALUES, st.data())
def test_a_damaged_value_is_a_value_or_a_decode_error(value: Any, data: st.DataObject) -> None:
    encoded = bytearray(encode(value))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    del encoded[data.draw(st.integers(0, len(encoded))) :]
    with contextlib.suppress(DecodeError):
        decode(bytes(encoded))


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (None, "40"),
        (True, "41"),
        (UInt(0), "43"),
        (ULong(0), "44"),
        ([], "45"),
        (UInt(255), "52ff"),
        (UInt(256), "7000000100"),
        (-1, "55ff"),
        (128, "810000000000000080"),
        ("ab", "a1026162"),
        (Symbol("ab"), "a3026162"),
        (b"\x01", "a00101"),
        ([UInt(1), None], "c00402520140"),
        (Described(ULong(0x24), []), "00532445"),
        (Timestamp(1), "830000000000000001"),
        (Array(("a",)), "f00000000a00000001b10000000161"),
    ],
)
def test_values_have_the_encoding_of_the_specification(value: Any, encoded: str) -> None:
    assert encode(value).hex() == encoded
    assert same(decode(bytes.fromhex(encoded))[0], value)


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param("", id="nothing"),
        pytest.param("3f", id="a code that is no type"),
        pytest.param("70000000", id="a number cut short"),
        pytest.param("a105", id="a string cut short"),
        pytest.param("b1ffffffff", id="a string of 4 GB"),
        pytest.param("a102c328", id="text that is not UTF-8"),
        pytest.param("a301ff", id="a symbol that is not ASCII"),
        pytest.param("5602", id="a boolean that is neither"),
        pytest.param("7300110000", id="a character beyond Unicode"),
        pytest.param("c00105", id="a list with more items than bytes"),
        pytest.param("c003014040", id="a list with bytes left over"),
        pytest.param("c1020140", id="a map with a key and no value"),
        pytest.param("c104024540" + "", id="a map whose size is wrong"),
        pytest.param("c10302" + "4540", id="a map with a list as key"),
        pytest.param("f000000005ffffffff40", id="an array of four billion nulls"),
        pytest.param("c0" * 3000, id="lists without end"),
        pytest.param("00" * 3000, id="descriptors without end"),
    ],
)
def test_malformed_bytes_are_a_decode_error(encoded: str) -> None:
    with pytest.raises(DecodeError):
        decode(bytes.fromhex(encoded))


def test_values_nest_only_so_deep() -> None:
    value: Any = []
    for _ in range(MAX_DEPTH):
        value = [value]
    decode(encode(value))
    with pytest.raises(DecodeError, match="nest"):
        decode(encode([value]))


@pytest.mark.parametrize("value", [UByte(256), UInt(-1), Int(2**31), 2**63, Timestamp(2**63)])
def test_a_number_that_its_type_cannot_hold_is_not_written(value: int) -> None:
    with pytest.raises(OverflowError):
        encode(value)


@pytest.mark.parametrize("value", [object(), {1, 2}, 1j])
def test_what_amqp_has_no_type_for_is_not_written(value: object) -> None:
    with pytest.raises(TypeError):
        encode(value)


def test_an_array_of_several_types_is_not_written() -> None:
    with pytest.raises(ValueError, match="one type"):
        encode(Array((1, "a")))


def test_not_a_number_survives() -> None:
    assert math.isnan(decode(b"\x82" + struct.pack(">d", math.nan))[0])
