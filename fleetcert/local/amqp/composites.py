"""Described lists with named fields (AMQP 1.0, part 1, section 1.4): how performatives and sections are declared.

A subclass is a dataclass with a `code` and annotated fields in the order of the specification. Every field is written,
null where it has no value: azure-eventhub takes fields by position and fails on a list that leaves the last ones out,
which the specification permits and all other brokers do.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Final, Self, get_args, get_origin, get_type_hints

from fleetcert.local.amqp.encoding import encode, encode_list
from fleetcert.local.amqp.errors import DecodeError
from fleetcert.local.amqp.types import Array, Described, Symbol, Timestamp, UByte, UInt, ULong, UShort

type WireUByte = Annotated[int, UByte]
type WireUShort = Annotated[int, UShort]
type WireUInt = Annotated[int, UInt]
type WireULong = Annotated[int, ULong]
type WireTimestamp = Annotated[int, Timestamp]
type WireSymbol = Annotated[str, Symbol]
type Symbols = Array | Symbol
"""A field that the specification calls multiple: one symbol or an array of them."""
type Fields = dict[Any, Any]


@dataclass(frozen=True, slots=True)
class _Field:
    """A declared field: its name, the types that its value may have on the wire, and its default."""

    name: str
    kinds: tuple[Any, ...]
    mandatory: bool

    def read(self, value: Any) -> Any:
        """The value as the dataclass holds it. Raises: DecodeError."""
        value = read_composite(value)
        for kind in self.kinds:
            if kind is Any or isinstance(value, kind):
                return value
            if _fits(value, kind):
                return kind(value)
        raise DecodeError(f"{self.name} must not be {type(value).__name__} {value!r:.40}")

    def write(self, value: Any) -> bytes:
        """The value as bytes; a plain int or str takes the type that the field declares."""
        if isinstance(value, Composite):
            return value.to_bytes()
        if value is None or type(value) in self.kinds or Any in self.kinds:
            return encode(value)
        return encode(next((kind(value) for kind in self.kinds if _fits(value, kind)), value))


def _fits(value: Any, kind: Any) -> bool:
    if issubclass(kind, int) and kind is not bool:
        return isinstance(value, int) and not isinstance(value, bool) and (value >= 0 or kind is Timestamp)
    return issubclass(kind, str) and isinstance(value, str)


@dataclass(slots=True)
class Composite:
    """A described list. Subclasses declare `code` (the descriptor) and their fields."""

    code: ClassVar[int]

    def __init_subclass__(cls) -> None:
        _BY_CODE[cls.code] = cls

    def to_bytes(self) -> bytes:
        """The value with its descriptor, as a small ulong, and every field."""
        items = [field.write(getattr(self, field.name)) for field in _declared(type(self))]
        return b"\x00\x53" + bytes((self.code,)) + encode_list(items)

    @classmethod
    def from_list(cls, values: Any) -> Self:
        """The fields of a received list, defaults for those that are null or left out. Raises: DecodeError."""
        declared = _declared(cls)
        if not isinstance(values, list) or len(values) > len(declared):
            raise DecodeError(f"{cls.__name__} is a list of at most {len(declared)} fields")
        given = {field.name: field.read(v) for field, v in zip(declared, values, strict=False) if v is not None}
        for field in declared:
            if field.mandatory and field.name not in given:
                raise DecodeError(f"{cls.__name__} without {field.name}")
        return cls(**given)


_BY_CODE: Final[dict[int, type[Composite]]] = {}
_DECLARED: Final[dict[type[Composite], tuple[_Field, ...]]] = {}


def read_composite(value: Any) -> Any:
    """A described list with a known descriptor as its dataclass, anything else as it is. Raises: DecodeError."""
    if not isinstance(value, Described) or not isinstance(value.value, list):
        return value
    kind = _BY_CODE.get(value.descriptor) if isinstance(value.descriptor, int) else None
    return value if kind is None else kind.from_list(value.value)


def _declared(cls: type[Composite]) -> tuple[_Field, ...]:
    if cls not in _DECLARED:
        hints = get_type_hints(cls, include_extras=True)
        _DECLARED[cls] = tuple(_Field(f.name, tuple(_kinds(hints[f.name])), f.default is MISSING) for f in fields(cls))
    return _DECLARED[cls]


def _kinds(hint: Any) -> list[Any]:
    """The runtime types behind an annotation: aliases resolved, unions taken apart."""
    if hasattr(hint, "__value__"):
        return _kinds(hint.__value__)
    if get_origin(hint) is Annotated:
        return [get_args(hint)[1]]
    if isinstance(hint, UnionType):
        return [kind for member in get_args(hint) if member is not NoneType for kind in _kinds(member)]
    return [get_origin(hint) or hint]
