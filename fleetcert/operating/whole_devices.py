"""Reads a partition of the fleet's table while the app writes to it, every device whole.

Pages are read one after the other. A device that changes between the page of its record and that of its deadline would
come with a deadline that is not its own and that no later change would remove. So the records' versions are looked at
once more behind the others, and the few devices that changed meanwhile are read again by their keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableClient, TableEntity

from shared.domain import keys
from shared.domain.record import DeviceRecord, State
from shared.errors import InfrastructureFault

RESTORING: Final = "cursor!restore"
"""The row by which a restore remembers how far it is: no part of the fleet."""

_RECORDS: Final = ("device!", 'device"')
_INDEXES: Final = (("due!", 'due"'), ("expires!", 'expires"'))
_BEFORE_RECORDS: Final = ("", _RECORDS[0])
_BETWEEN: Final = ((_RECORDS[1], _INDEXES[0][0]), (_INDEXES[0][1], _INDEXES[1][0]))
_BEHIND: Final = (_INDEXES[1][1], "\x7f")
_TRIES: Final = 50
_DECODER: Final = msgspec.json.Decoder(DeviceRecord)

type Range = tuple[str, str]


def whole_devices(table: TableClient, partition: str) -> Iterator[TableEntity]:
    """All rows of the partition. Holds its records in memory: a shard of a million devices is some 30,000.

    Raises: AzureError, InfrastructureFault where a device does not stop changing.
    """
    yield from _rows(table, partition, _BEFORE_RECORDS)
    records = {str(row["RowKey"]): row for row in _rows(table, partition, _RECORDS)}
    indexes = [row for part in _INDEXES for row in _rows(table, partition, part)]
    changed = {key for key, version in _versions(table, partition) if _version(records.get(key)) != version}
    stale = {keys.unescape(key.removeprefix(_RECORDS[0])) for key in changed}
    yield from (row for key, row in records.items() if key not in changed)
    yield from (row for row in indexes if row["deviceId"] not in stale)
    for key in sorted(changed):
        yield from _device(table, partition, key)
    for part in (*_BETWEEN, _BEHIND):
        yield from _rows(table, partition, part)


def _device(table: TableClient, partition: str, key: str) -> Sequence[TableEntity]:
    """A record with its deadline and its line of the list, as of one instant."""
    for _ in range(_TRIES):
        before = table.get_entity(partition, key)
        record = _record(before)
        wanted = [*_index_keys(record)]
        found = [row for index in wanted if (row := _get(table, partition, index)) is not None]
        if len(found) == len(wanted) and _version(table.get_entity(partition, key)) == _version(before):
            return [before, *found]
    raise InfrastructureFault("table storage", f"{record.device_id} did not stop changing while it was read")


def _index_keys(record: DeviceRecord) -> Iterator[str]:
    if record.due_at is not None:
        yield keys.due_key(record.due_at, record.device_id)
    if record.state is not State.RETIRED:
        valid_until = record.certificate.valid_until if record.certificate else None
        yield keys.expires_key(valid_until, record.device_id)


def _versions(table: TableClient, partition: str) -> Iterator[tuple[str, str]]:
    for row in _rows(table, partition, _RECORDS, select=["PartitionKey", "RowKey", "Timestamp"]):
        yield str(row["RowKey"]), _version(row)


def _version(row: TableEntity | None) -> str:
    return str(row.metadata["etag"]) if row is not None else ""


def _record(row: TableEntity) -> DeviceRecord:
    return _DECODER.decode(str(row["record"]))


def _get(table: TableClient, partition: str, key: str) -> TableEntity | None:
    try:
        return table.get_entity(partition, key)
    except ResourceNotFoundError:
        return None


def _rows(table: TableClient, partition: str, part: Range, select: list[str] | None = None) -> Iterator[TableEntity]:
    rows = table.query_entities(
        "PartitionKey eq @partition and RowKey ge @low and RowKey lt @high",
        parameters={"partition": partition, "low": part[0], "high": part[1]},
        results_per_page=1000,
        select=select,
    )
    yield from (row for row in rows if row["RowKey"] != RESTORING)
