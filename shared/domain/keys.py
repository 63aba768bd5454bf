"""Where rows live: partitions and row keys of the table `fleet`.

A device id is escaped so that `!` can part a key's fields: every character outside `[A-Za-z0-9._-]` is written `~hh`
per UTF-8 byte. That is reversible, and since `!` sorts below every escaped character, no range of one id holds
another's rows.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Final

NEVER: Final = "99991231T235959"
"""Stands where a device has no expiry, so that it comes last in a list by expiry."""
LATEST: Final = 253_402_300_799
"""The last second of the year 9999, in Unix time: history runs backwards from it, newest first."""

FLEET_PARTITION: Final = "fleet"
DEVICE: Final = "device!"
DUE: Final = "due!"
EXPIRES: Final = "expires!"
CONTAINED: Final = "contained!"
AUDIT: Final = "audit!"
HISTORY: Final = "history!"
OPERATION: Final = "op!"
RUNNING: Final = "running!"
TARGET: Final = "target!"
IDEMPOTENCY: Final = "key!"

_LONGEST_EVENT: Final = 64
"""A key has 512 characters at most, and an escaped device id may take 384 of them."""
_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


def escape(identifier: str) -> str:
    """An id as it stands in a key."""
    return "".join(chr(b) if b in _PLAIN else f"~{b:02x}" for b in identifier.encode())


def unescape(escaped: str) -> str:
    """The id that was escaped."""
    raw = re.sub(rb"~([0-9a-f]{2})", lambda m: bytes.fromhex(m[1].decode()), escaped.encode())
    return raw.decode()


def shard_of(device_id: str, shards: int) -> str:
    """The partition of a device's rows: `s00`, `s01`, ..."""
    digest = hashlib.blake2b(device_id.encode(), digest_size=8).digest()
    return f"s{int.from_bytes(digest) % shards:02d}"


def shard_names(shards: int) -> list[str]:
    """All partitions of devices."""
    return [f"s{number:02d}" for number in range(shards)]


def stamp(instant: datetime) -> str:
    """An instant in a key, to the second: `20261123T101500`."""
    utc = instant.astimezone(UTC)
    return f"{utc.year:04d}{utc:%m%dT%H%M%S}"  # %Y does not pad


def _stamp_from(instant: datetime) -> str:
    """The first stamp that is not before the instant."""
    return stamp(instant) if not instant.microsecond else stamp(instant.replace(microsecond=0) + timedelta(seconds=1))


def device_key(device_id: str) -> str:
    """The record's row."""
    return f"{DEVICE}{escape(device_id)}"


def device_range(after: str = "") -> tuple[str, str]:
    """The range [low, high) of a shard's records, or of those behind the key `after`."""
    return f"{after} " if after else DEVICE, f'{DEVICE[:-1]}"'  # a space sorts below every character of a key


def due_key(due_at: datetime, device_id: str) -> str:
    """The row of a device's one deadline."""
    return f"{DUE}{stamp(due_at)}!{escape(device_id)}"


def due_until(instant: datetime) -> str:
    """The exclusive end of the range of deadlines that have come by `instant`."""
    return f'{DUE}{stamp(instant)}"'  # the character after the "!" that parts stamp and id


def expires_key(valid_until: datetime | None, device_id: str) -> str:
    """The row by which lists find a device."""
    return f"{EXPIRES}{stamp(valid_until) if valid_until else NEVER}!{escape(device_id)}"


def expires_range(after: str = "") -> tuple[str, str]:
    """The range [low, high) of a shard's list, or of what comes behind the key `after` in it."""
    return behind(after) if after else EXPIRES, f'{EXPIRES[:-1]}"'


def expires_between(earliest: datetime | None, latest: datetime | None) -> tuple[str, str]:
    """The range [low, high) of certificates that end in [earliest, latest); None leaves that side open.

    A device without a certificate has no end: it is in the range that is open on both sides, and in no other.
    """
    low = f"{EXPIRES}{_stamp_from(earliest)}!" if earliest else EXPIRES
    if latest:
        return low, f"{EXPIRES}{_stamp_from(latest)}!"
    return low, f"{EXPIRES}{NEVER}!" if earliest else f'{EXPIRES[:-1]}"'


def behind(key: str) -> str:
    """The low end of a range that begins behind this key."""
    return f"{key} "  # a space sorts below every character of a key


def expires_until(instant: datetime) -> str:
    """The exclusive end of the range of certificates that end before `instant`, or within its second."""
    return f'{EXPIRES}{stamp(instant)}"'


def history_key(device_id: str, at: datetime, event_id: str) -> str:
    """The row of one change; later changes have smaller keys."""
    inverted = LATEST * 1000 - int(at.timestamp() * 1000)
    event = escape(event_id)
    if len(event) > _LONGEST_EVENT:
        event = hashlib.blake2b(event_id.encode(), digest_size=16).hexdigest()
    return f"{HISTORY}{escape(device_id)}!{inverted:015d}!{event}"


def history_range(device_id: str) -> tuple[str, str]:
    """The range [low, high) of a device's history."""
    return f"{HISTORY}{escape(device_id)}!", f'{HISTORY}{escape(device_id)}"'


def audit_key(device_id: str, at: datetime, event_id: str) -> str:
    """The row of one change that has yet to be appended to the audit, oldest first.

    The event is told by a digest: a key is bounded, and one event may be about many devices.
    """
    milliseconds = int(at.timestamp() * 1000) % 1000
    digest = hashlib.blake2b(f"{device_id}\0{event_id}".encode(), digest_size=16).hexdigest()
    return f"{AUDIT}{stamp(at)}{milliseconds:03d}!{digest}"


def audit_range() -> tuple[str, str]:
    """The range [low, high) of a shard's changes that have yet to be appended to the audit."""
    return AUDIT, f'{AUDIT[:-1]}"'


def registration_key(registration_id: str) -> str:
    """The row that leads from a registration id to a device id that differs; registration ids ignore case."""
    return f"reg!{escape(registration_id.casefold())}"


def leaf_key(registration_id: str) -> str:
    """The row of an onboarding leaf that an inventory holds; registration ids ignore case."""
    return f"leaf!{escape(registration_id.casefold())}"


def contained_key(device_id: str) -> str:
    """The row that says that a device is being shut out, so that connection events need not read its record."""
    return f"{CONTAINED}{escape(device_id)}"


def contained_range() -> tuple[str, str]:
    """The range [low, high) of a shard's devices that are being shut out."""
    return CONTAINED, f'{CONTAINED[:-1]}"'


def seen_key(device_id: str) -> str:
    """The row of a device's last known connection state."""
    return f"seen!{escape(device_id)}"


def setting_key(name: str) -> str:
    """A row that a fleet's table is configured by, in the partition `fleet`."""
    return f"setting!{escape(name)}"


def operation_key(operation_id: str) -> str:
    """The row of an operation, in the partition `fleet`."""
    return f"{OPERATION}{escape(operation_id)}"


def operation_range(after: str = "") -> tuple[str, str]:
    """The range [low, high) of all operations, the newest first, or of those behind the id `after`."""
    return f"{operation_key(after)} " if after else OPERATION, f'{OPERATION[:-1]}"'


def running_key(operation_id: str) -> str:
    """The row that says that an operation has not been done with, so that a sweep need not read those that were."""
    return f"{RUNNING}{escape(operation_id)}"


def target_key(operation_id: str, page: int) -> str:
    """The row of some of the devices that an operation is about."""
    return f"{TARGET}{escape(operation_id)}!{page:06d}"


def target_range(operation_id: str) -> tuple[str, str]:
    """The range [low, high) of the devices that an operation is about."""
    return f"{TARGET}{escape(operation_id)}!", f'{TARGET}{escape(operation_id)}"'


def running_range() -> tuple[str, str]:
    """The range [low, high) of the operations that have not been done with."""
    return RUNNING, f'{RUNNING[:-1]}"'


def idempotency_key(caller: str, key: str) -> str:
    """The row of a request that a caller may send again, in the partition `fleet`."""
    return IDEMPOTENCY + hashlib.sha256(f"{caller}\0{key}".encode()).hexdigest()


def idempotency_range(after: str = "") -> tuple[str, str]:
    """The range [low, high) of these rows, or of those behind the key `after`."""
    return behind(after) if after else IDEMPOTENCY, f'{IDEMPOTENCY[:-1]}"'
