"""Brings a backup back into the fleet's table, which must be empty or be emptied, while the app is stopped.

A row of its own remembers which backup is being restored and how far, so that a run that was cut short goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import batched, groupby, islice
from pathlib import Path
from typing import Any, Final

from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.data.tables import TableClient, UpdateMode

from fleetcert.operating.backup import Progress, check_backup, read_backup, shards_of
from fleetcert.operating.rows import Tally, entity_of, line_of
from fleetcert.operating.whole_devices import RESTORING
from shared.domain import keys
from shared.errors import FleetcertError

_TRANSACTION_ROWS: Final = 100
_TRANSACTION_BYTES: Final = 2**21
"""Half of what Azure takes (4 MiB, Azure docs: entity group transactions); the wire's form is wordier than ours."""
_AT_ONCE: Final = 8
_STAYS: Final = frozenset({RESTORING, keys.setting_key("shards")})


class RestoreFailed(FleetcertError):
    """The backup was not restored; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class _Progress:
    """Which backup is being restored, and how many of its rows are back; None: the table is still being emptied."""

    backup: str
    rows: int | None


def restore(table: TableClient, source: Path, progress: Progress, *, force: bool = False) -> Tally:
    """Restores and verifies, or goes on with a restore that was cut short. progress(what, rows) as it goes.

    force: a table that holds devices is emptied first. Raises: RestoreFailed, BackupFailed.
    """
    header, tally = check_backup(source)
    try:
        _create(table)
        _refuse_other_shards(table, header)
        done = _begin(table, _identity(header, tally), tally.rows, force, progress)
        _fill(table, source, _identity(header, tally), done, progress)
        _verify(table, tally, progress)
        table.delete_entity(keys.FLEET_PARTITION, RESTORING)
    except AzureError as problem:
        raise RestoreFailed(f"the table {table.table_name} failed: {problem.message}; run the same again") from problem
    return tally


def _create(table: TableClient) -> None:
    try:
        table.create_table()
    except ResourceExistsError:
        return


def _refuse_other_shards(table: TableClient, header: Mapping[str, Any]) -> None:
    shards = shards_of(table)
    if shards not in (None, header["shards"]):
        raise RestoreFailed(
            f"the table {table.table_name} was made with {shards} shards and the backup with {header['shards']}: "
            "restore it into a new table"
        )


def _begin(table: TableClient, backup: str, rows: int, force: bool, progress: Progress) -> int:
    """How many rows are back already; where none are, the table is empty then."""
    known = _remembered(table)
    goes_on = known is not None and known.backup == backup
    if known is not None and goes_on and known.rows is not None and not (force and known.rows == rows):
        return known.rows
    if not force and not goes_on:
        if known is not None:
            raise RestoreFailed("another backup was being restored: finish that, or use --force to start over")
        if _holds_devices(table):
            raise RestoreFailed(f"the table {table.table_name} is not empty: use --force to replace what is in it")
    _remember(table, _Progress(backup, None))
    _empty(table, progress)
    _remember(table, _Progress(backup, 0))
    return 0


def _fill(table: TableClient, source: Path, backup: str, done: int, progress: Progress) -> None:
    batches = _transactions(islice(read_backup(source), done, None))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for window in batched(batches, _AT_ONCE, strict=False):
            list(pool.map(lambda lines: _put(table, lines), window))
            done += sum(len(lines) for lines in window)
            _remember(table, _Progress(backup, done))
            progress("restored", done)


def _put(table: TableClient, lines: Sequence[bytes]) -> None:
    table.submit_transaction([("upsert", entity_of(line), {"mode": UpdateMode.REPLACE}) for line in lines])


def _transactions(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The lines in their order, in groups that one transaction takes: one partition, bounded rows and bytes."""
    for _, of_partition in groupby(lines, key=lambda line: json.loads(line)["p"]):
        group: list[bytes] = []
        for line in of_partition:
            full = len(group) == _TRANSACTION_ROWS or sum(map(len, group)) + len(line) > _TRANSACTION_BYTES
            if group and full:
                yield group
                group = []
            group.append(line)
        yield group


def _verify(table: TableClient, promised: Tally, progress: Progress) -> None:
    tally = Tally()
    for entity in table.list_entities(results_per_page=1000):
        if entity["RowKey"] != RESTORING:
            tally.add(entity["PartitionKey"], line_of(entity))
            if tally.rows % 1000 == 0:
                progress("verified", tally.rows)
    if wrong := tally.differences(promised):
        raise RestoreFailed(
            f"the table differs from the backup in {', '.join(wrong)}: is the app stopped? Then use --force"
        )


def _holds_devices(table: TableClient) -> bool:
    """Whether there are rows in a shard; what the app writes about itself does not count."""
    rows = table.query_entities("PartitionKey ne @fleet", parameters={"fleet": keys.FLEET_PARTITION})
    return next(iter(rows), None) is not None


def _empty(table: TableClient, progress: Progress) -> None:
    rows = (r for r in table.list_entities(select=["PartitionKey", "RowKey"]) if r["RowKey"] not in _STAYS)
    removed = 0
    for _, of_partition in groupby(rows, key=lambda row: row["PartitionKey"]):
        for batch in batched(of_partition, _TRANSACTION_ROWS, strict=False):
            table.submit_transaction([("delete", dict(row)) for row in batch])
            removed += len(batch)
            progress("removed", removed)


def _remembered(table: TableClient) -> _Progress | None:
    try:
        row = table.get_entity(keys.FLEET_PARTITION, RESTORING)
    except ResourceNotFoundError:
        return None
    return _Progress(row["backup"], row.get("rows"))


def _remember(table: TableClient, progress: _Progress) -> None:
    row = {"PartitionKey": keys.FLEET_PARTITION, "RowKey": RESTORING, "backup": progress.backup}
    table.upsert_entity(row | ({} if progress.rows is None else {"rows": progress.rows}), mode=UpdateMode.REPLACE)


def _identity(header: Mapping[str, Any], tally: Tally) -> str:
    document = json.dumps([header, tally.to_json()], sort_keys=True)
    return hashlib.sha256(document.encode()).hexdigest()
