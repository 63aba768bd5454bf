"""How large a device's record is in the table, and all of its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from bench.fleet import record_of, rows_of
from bench.results import Result
from bench.runner import Effort
from bench.traffic import MORNING
from shared.services.ports import Value


def measure(effort: Effort) -> Sequence[Result]:
    """The sizes as Azure bills them (Azure docs: how entities are billed), of a typical device id."""
    rows = rows_of(record_of("a7f3c2d41b6e-plant-7-press-12", MORNING))
    record = next(size(key, values) for key, values in rows.items() if key.startswith("device!"))
    total = sum(size(key, values) for key, values in rows.items())
    return [
        Result(
            name="record_bytes",
            value=record,
            unit="bytes",
            limit=f"{total:,} bytes with its deadline and its line of the list: {total / 1e3:.1f} GB for a million; "
            "a property holds 64 KiB, so a record has room for many pending alerts and tags",
        )
    ]


def size(key: str, values: Mapping[str, Value]) -> int:
    """What an entity takes: 4 bytes, its keys in UTF-16, and for each property 8, its name and its value."""
    return 4 + 2 * (len("s00") + len(key)) + sum(8 + 2 * len(name) + _value_size(v) for name, v in values.items())


def _value_size(value: Value) -> int:
    if isinstance(value, str):
        return 2 * len(value) + 4
    if isinstance(value, bool):
        return 1
    return 8 if isinstance(value, datetime) else 4
