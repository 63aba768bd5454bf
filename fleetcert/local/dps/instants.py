"""Instants and versions as DPS writes them."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4


def timestamp(instant: datetime) -> str:
    """RFC 3339 in UTC with the seven digits of .NET: `2026-11-23T10:00:00.0000000Z`."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"


def new_etag() -> str:
    """A version that no other has, in the double quotes that are part of an ETag."""
    return f'"{uuid4()}"'


def matches(if_match: str | None, etag: str | None) -> bool:
    """Whether an If-Match header lets a write through. `etag` None: there is no resource.

    Quotes are not compared: DPS's clients send the ETag with and without.
    """
    if if_match is None:
        return True
    if etag is None:
        return False
    return if_match == "*" or if_match.strip('"') == etag.strip('"')
