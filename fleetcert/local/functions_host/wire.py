"""Values as the Functions host puts them on the wire to a worker, in the runtime's own type (`Datum`).

The rules are the host's (azure-functions-host, GrpcMessageConversionExtensions): bytes, strings and floats travel as
themselves, homogeneous lists of them as collections, everything else as JSON, and None not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from azure_functions_runtime.bindings.datumdef import Datum

_SCALARS: Mapping[type, str] = {bytes: "bytes", str: "string", float: "double"}
_COLLECTIONS: Mapping[type, str] = {bytes: "bytes", str: "string", float: "double", int: "sint64"}


def to_datum(value: Any) -> Any:
    """The Datum of a value, None for None."""
    if value is None:
        return None
    if (kind := _SCALARS.get(type(value))) is not None:
        return Datum(value, kind)
    if isinstance(value, list) and (member := _member_type(value)) is not None:
        return _collection(value, _COLLECTIONS[member])
    return json_datum(value)


def json_datum(value: Any) -> Any:
    """A Datum of type json, whatever the value; datetimes become ISO 8601."""
    return Datum(json.dumps(value, default=_encode), "json")


def metadata_datums(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Trigger metadata; members that are None are left out, as the host does."""
    return {name: to_datum(value) for name, value in metadata.items() if value is not None}


def http_datum(
    *,
    method: str,
    url: str,
    headers: Mapping[str, str],
    query: Mapping[str, str],
    params: Mapping[str, str],
    body: bytes,
) -> Any:
    """An HTTP request; header names become lower case and empty query values are dropped, as the host does."""
    return Datum(
        {
            "method": Datum(method, "string"),
            "url": Datum(url, "string"),
            "headers": _strings({name.lower(): value for name, value in headers.items()}),
            "query": _strings({name: value for name, value in query.items() if value}),
            "params": _strings(params),
            "body": Datum(body, "bytes"),
        },
        "http",
    )


def utc_iso(instant: datetime) -> str:
    """`2026-11-23T14:05:00.123456Z`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def naive_iso(instant: datetime) -> str:
    """UTC without a zone, as .NET writes a DateTime of unspecified kind."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def _member_type(values: list[Any]) -> type | None:
    kinds = {type(value) for value in values}
    return next(iter(kinds)) if len(kinds) == 1 and kinds <= _COLLECTIONS.keys() else None


def _collection(values: list[Any], kind: str) -> Any:
    # The host drops empty strings from a string[]: this worker does not advertise IncludeEmptyEntriesInMessagePayload.
    kept = [value for value in values if value] if kind == "string" else values
    return Datum(SimpleNamespace(**{kind: kept}), f"collection_{kind}")


def _strings(values: Mapping[str, str]) -> dict[str, Any]:
    return {name: Datum(value, "string") for name, value in values.items()}


def _encode(value: Any) -> str:
    if isinstance(value, datetime):
        return utc_iso(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return str(value)
