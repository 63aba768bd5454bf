"""A backup of the fleet's table, taken while the app runs: one file, whole devices, verified by counts and digests.

The file is gzip members one behind the other: a header line, the rows of each partition, a trailer line. A partition is
written to a part file of its own, so that a run that was cut short goes on with the partition that it was at.
"""

from __future__ import annotations

import gzip
import json
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.data.tables import TableClient

from fleetcert.operating.rows import Tally, line_of
from fleetcert.operating.whole_devices import whole_devices
from shared.domain import keys
from shared.errors import FleetcertError

FORMAT: Final = "fleetcert-backup/1"
_TRAILER: Final = b'{"trailer":'

type Progress = Callable[[str, int], None]


class BackupFailed(FleetcertError):
    """The backup could not be taken or read; the message says why."""


def read_backup(source: Path) -> Iterator[bytes]:
    """The rows' lines of a backup. Raises: BackupFailed where the file is cut short or damaged."""
    with gzip.open(source) as file:
        try:
            for line in islice(file, 1, None):
                if line.startswith(_TRAILER):
                    return
                yield line.rstrip(b"\n")
        except (OSError, EOFError, zlib.error) as problem:
            raise BackupFailed(f"{source} is damaged: {problem}") from problem
    raise BackupFailed(f"{source} has no end: it was cut short")


def check_backup(source: Path) -> tuple[Mapping[str, Any], Tally]:
    """The header, and what the rows amount to. Raises: BackupFailed where that is not what the file's end says."""
    try:
        with gzip.open(source) as file:
            header: Mapping[str, Any] = json.loads(file.readline())
            tally, end = Tally(), b""
            for line in file:
                if line.startswith(_TRAILER):
                    end = line
                    break
                tally.add(json.loads(line)["p"], line.rstrip(b"\n"))
        if header.get("format") != FORMAT:
            raise BackupFailed(f"{source} is no backup of this kind: {header.get('format')}")
        promised = Tally.from_json(json.loads(end)["trailer"]) if end else None
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise BackupFailed(f"{source} is damaged or no backup: {problem}") from problem
    if promised is None:
        raise BackupFailed(f"{source} has no end: it was cut short")
    if wrong := tally.differences(promised):
        raise BackupFailed(f"{source} does not hold what its end says, in {', '.join(wrong)}")
    return header, tally


def taken_at(source: Path) -> datetime:
    """When the backup was begun. Raises: BackupFailed."""
    try:
        with gzip.open(source) as file:
            return datetime.fromisoformat(json.loads(file.readline())["takenAt"])
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as problem:
        raise BackupFailed(f"{source} is damaged or no backup: {problem}") from problem


def shards_of(table: TableClient) -> int | None:
    """The number of shards that the table was made with; None where the app has not made it yet."""
    try:
        return int(table.get_entity(keys.FLEET_PARTITION, keys.setting_key("shards"))["value"])
    except ResourceNotFoundError:
        return None


def back_up(table: TableClient, out: Path, progress: Progress) -> Tally:
    """Writes the table to `out`, or goes on with a run that was cut short. progress(partition, rows) as it goes.

    A table that changes meanwhile is backed up device by device as of different instants, each device whole.
    Raises: BackupFailed.
    """
    parts = out.with_name(f"{out.name}.parts")
    try:
        shards = shards_of(table)
        if shards is None:
            raise BackupFailed(f"the table {table.table_name} is not a fleet's: it has no number of shards")
        parts.mkdir(parents=True, exist_ok=True)
        header = _header(parts, table, shards)
        names = [keys.FLEET_PARTITION, *keys.shard_names(shards)]  # a table half restored knows its number of shards
        tallies = [_part(table, partition, parts, progress) for partition in names]
    except AzureError as problem:
        raise BackupFailed(f"the table {table.table_name} cannot be read: {problem.message}") from problem
    tally = Tally().join(tallies)
    _join(out, parts, header, names, tally)
    shutil.rmtree(parts)
    return tally


def _header(parts: Path, table: TableClient, shards: int) -> Mapping[str, Any]:
    """What the file begins with; of a run that was cut short, that of its beginning."""
    file = parts / "header.json"
    if file.exists():
        header: Mapping[str, Any] = json.loads(file.read_text())
        if (header["table"], header["account"]) != (table.table_name, table.account_name):
            raise BackupFailed(f"{parts} holds parts of another table's backup: remove it first")
        return header
    header = {
        "format": FORMAT,
        "table": table.table_name,
        "account": table.account_name,
        "shards": shards,
        "takenAt": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    file.write_text(json.dumps(header))
    return header


def _part(table: TableClient, partition: str, parts: Path, progress: Progress) -> Tally:
    """One partition's rows in its part file; nothing is done where an earlier run has written it."""
    tally_file = parts / f"{partition}.json"
    if not tally_file.exists():
        tally = Tally({partition: 0}, {partition: 0})
        with gzip.open(parts / f"{partition}.gz", "wb", compresslevel=6) as file:
            for entity in whole_devices(table, partition):
                line = line_of(entity)
                tally.add(partition, line)
                file.write(line + b"\n")
                if tally.rows % 1000 == 0:
                    progress(partition, tally.rows)
        tally_file.write_text(json.dumps(tally.to_json()))  # last: it says that the part is whole
    tally = Tally.from_json(json.loads(tally_file.read_text()))
    progress(partition, tally.rows)
    return tally


def _join(out: Path, parts: Path, header: Mapping[str, Any], names: Iterable[str], tally: Tally) -> None:
    """The header, the parts and the trailer as one file, at once or not at all."""
    unfinished = parts / "joined.gz"
    with unfinished.open("wb") as file:
        file.write(gzip.compress(json.dumps(header).encode() + b"\n"))
        for name in names:
            with (parts / f"{name}.gz").open("rb") as part:
                shutil.copyfileobj(part, file)
        file.write(gzip.compress(json.dumps({"trailer": tally.to_json()}, separators=(",", ":")).encode() + b"\n"))
    unfinished.replace(out)
