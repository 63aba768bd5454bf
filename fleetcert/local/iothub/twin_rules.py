"""What a twin's section may hold (Azure docs: Understand and use device twins in IoT Hub)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fleetcert.local.iothub.errors import invalid_argument, twin_too_large

TAGS: Final = "Tags"
DESIRED: Final = "Properties.Desired"
REPORTED: Final = "Properties.Reported"

LIMITS: Final[Mapping[str, int]] = {TAGS: 8 * 1024, DESIRED: 32 * 1024, REPORTED: 32 * 1024}
"""Bytes per section, keys and values together."""

_MAX_KEY_BYTES: Final = 1024
_MAX_STRING_BYTES: Final = 4096
_MAX_DEPTH: Final = 10
_LARGEST_INTEGER: Final = 4503599627370495
_NUMBER_BYTES: Final = 8
_BOOLEAN_BYTES: Final = 4


def check_values(document: Mapping[str, Any]) -> None:
    """Checks keys, values and depth of a section or a patch of it; nulls are a patch's removals.

    Raises: HubError 400004.
    """
    _check_object(document, depth=1)


def check_size(section: str, document: Mapping[str, Any]) -> None:
    """Checks a whole section against its limit. Raises: HubError 403100."""
    if size_of(document) > LIMITS[section]:
        raise twin_too_large(section, LIMITS[section])


def size_of(value: Any) -> int:
    """Bytes as IoT Hub counts them: UTF-8 of keys and strings without control characters, 8 a number, 4 a boolean."""
    match value:
        case bool():
            return _BOOLEAN_BYTES
        case int() | float():
            return _NUMBER_BYTES
        case str():
            return len("".join(c for c in value if not _is_control(c)).encode())
        case dict():
            return sum(size_of(key) + size_of(member) for key, member in value.items())
        case list():
            return sum(map(size_of, value))
        case _:
            return 0


def _check_object(document: Mapping[str, Any], depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise invalid_argument(f"A twin's objects may be nested {_MAX_DEPTH} deep.")
    for key, value in document.items():
        _check_key(key)
        _check_value(key, value, depth)


def _check_key(key: str) -> None:
    if not key or any(c in ".$ " or _is_control(c) for c in key):
        raise invalid_argument(f"The property name {key!r} is invalid: no '.', '$', space or control characters.")
    if len(key.encode()) > _MAX_KEY_BYTES:
        raise invalid_argument(f"A property name may have {_MAX_KEY_BYTES} bytes.")


def _check_value(key: str, value: Any, depth: int) -> None:
    match value:
        case dict():
            _check_object(value, depth + 1)
        case list():
            for member in value:
                _check_value(key, member, depth)
        case str() if len(value.encode()) > _MAX_STRING_BYTES:
            raise invalid_argument(
                f"Property or Tag value should be maximum {_MAX_STRING_BYTES} bytes. Error in Property/Tag {key}"
            )
        case bool():
            pass
        case int() if not -_LARGEST_INTEGER - 1 <= value <= _LARGEST_INTEGER:
            raise invalid_argument(f"The integer of {key!r} is out of range.")


def _is_control(character: str) -> bool:
    """Whether the character is of the Unicode control segments C0 and C1."""
    return character < " " or "\x7f" <= character <= "\x9f"
