"""Fleets of any size: records as recording leaves them, and a table full of them that fits memory.

Only keys are made for each device; the values come from one template through the same code that writes real rows. What
a sweep reads whole (the devices that are due) gets rows of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from bench.app import SETTINGS
from bench.traffic import HUB, MORNING
from shared.domain import keys
from shared.domain.policy import RenewalPolicy
from shared.domain.record import Certificate, DeviceRecord, Evidence, State
from shared.services.ports import Value
from shared.services.rows import Change, writes
from tests.support.paged_table import PagedTable

LIFETIME: Final = timedelta(days=30)


def record_of(device_id: str, issued_at: datetime) -> DeviceRecord:
    """A device that reported a certificate of 30 days, waiting for its place in the renewal window."""
    certificate = Certificate(
        identity="ab" * 32,
        valid_from=issued_at,
        valid_until=issued_at + LIFETIME,
        evidence=Evidence.REPORTED,
        first_seen=issued_at,
        thumbprint="ab" * 32,
        serial_number="1f" * 20,
        issuer="CN=local-adr-default-0c9a6d5e",
    )
    return DeviceRecord(
        device_id=device_id,
        registration_id=device_id,
        hub=HUB,
        first_seen=issued_at,
        updated_at=issued_at,
        state=State.VALID,
        reason="CertificateCurrent",
        version=2,
        twin_updated_at=issued_at,
        certificate=certificate,
        next_deadline=RenewalPolicy().due_at(certificate, device_id),
    )


def rows_of(record: DeviceRecord) -> dict[str, Mapping[str, Value]]:
    """The rows of a device by their keys."""
    return {write.row.key: write.row.values for write in writes("s00", Change(None, record))}


def full_table(devices: int, due: int, now: datetime) -> PagedTable:
    """A table of so many devices, spread over the shards, of which so many are due now.

    The others were issued a day ago. Raises: ValueError where more are due than there are.
    """
    if due > devices:
        raise ValueError(f"{due} of {devices} devices cannot be due")
    rows: dict[str, list[tuple[str, Mapping[str, Value]]]] = defaultdict(list)
    for number in range(devices - due):
        device_id = f"device-{number:07}"
        rows[keys.shard_of(device_id, SETTINGS.shards)].extend(_template_rows(device_id, number, now))
    for number in range(due):
        record = replace(record_of(f"due-{number:05}", now - timedelta(days=26)), next_deadline=now)
        rows[keys.shard_of(record.device_id, SETTINGS.shards)].extend(rows_of(record).items())
    table = PagedTable()
    for partition, entries in rows.items():
        table.put_in_bulk(partition, entries)
    return table


_TEMPLATE: Final = record_of("device-0000000", MORNING - timedelta(days=1))
_VALUES: Final = {key.partition("!")[0]: values for key, values in rows_of(_TEMPLATE).items()}


def _template_rows(device_id: str, number: int, now: datetime) -> Iterable[tuple[str, Mapping[str, Value]]]:
    """Keys of its own and the template's values. Deadlines are a second apart, so that no two keys are alike."""
    later = timedelta(seconds=number % 86_400)
    return (
        (keys.device_key(device_id), _VALUES["device"]),
        (keys.due_key(now + timedelta(days=22) + later, device_id), _VALUES["due"]),
        (keys.expires_key(now + LIFETIME + later, device_id), _VALUES["expires"]),
    )
