"""Which partition a partition key belongs to.

Event Hubs hashes keys with Bob Jenkins' lookup3 (public domain, 2006); azure-eventhub's buffered producer knows the
same function, and the two agree.
"""

from __future__ import annotations

from typing import Final

_MASK: Final = 0xFFFFFFFF


def partition_of(key: str, partitions: int) -> int:
    """The partition for a key, 0 to partitions - 1."""
    if not key:
        return 0
    c, b = lookup3(key.encode())
    code = (c ^ b) & 0xFFFF
    signed = code - 0x10000 if code & 0x8000 else code
    return abs(signed % partitions)


def lookup3(data: bytes) -> tuple[int, int]:
    """Two 32-bit hashes (hashlittle2 with zero seeds, in its order: c, b)."""
    a = b = c = (0xDEADBEEF + len(data)) & _MASK
    if not data:
        return c, b
    blocks = [data[start : start + 12].ljust(12, b"\0") for start in range(0, len(data), 12)]
    for block in blocks[:-1]:
        a, b, c = _mix(*_add(block, a, b, c))
    _, b, c = _final(*_add(blocks[-1], a, b, c))
    return c, b


def _add(block: bytes, a: int, b: int, c: int) -> tuple[int, int, int]:
    x, y, z = (int.from_bytes(block[start : start + 4], "little") for start in (0, 4, 8))
    return (a + x) & _MASK, (b + y) & _MASK, (c + z) & _MASK


def _rotate(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & _MASK


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in (4, 6, 8, 16, 19, 4):
        a = ((a - c) & _MASK) ^ _rotate(c, bits)
        c = (c + b) & _MASK
        a, b, c = b, c, a
    return a, b, c


def _final(a: int, b: int, c: int) -> tuple[int, int, int]:
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _rotate(b, bits)) & _MASK
        a, b, c = b, c, a
    return c, a, b
