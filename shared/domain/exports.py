"""The fleet's list as CSV (RFC 4180) that a spreadsheet may open. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Final

from shared.domain.listing import DeviceLine

COLUMNS: Final = (
    *("deviceId", "registrationId", "state", "reason", "hub", "enrollmentGroup", "validFrom", "validUntil"),
    *("evidence", "thumbprint", "issuer", "authorityKeyId", "tags"),
)

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a cell begins that a spreadsheet would run (OWASP: CSV injection), in both widths. Device ids may begin so."""


def header() -> str:
    """The first line."""
    return _lines([COLUMNS])


def csv_of(lines: Iterable[DeviceLine]) -> str:
    """A line for each device; tags as a JSON object. What a spreadsheet would run gets an apostrophe before it."""
    return _lines(_cells(line) for line in lines)


def _cells(line: DeviceLine) -> tuple[str, ...]:
    tags = json.dumps(dict(line.tags), sort_keys=True, ensure_ascii=False) if line.tags else ""
    values = (
        *(line.device_id, line.registration_id, line.state, line.reason, line.hub, line.enrollment_group),
        *(line.valid_from, line.valid_until, line.evidence, line.thumbprint, line.issuer, line.authority_key_id, tags),
    )
    return tuple(_inert(value or "") for value in values)


def _inert(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _lines(rows: Iterable[Iterable[str]]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return out.getvalue()
