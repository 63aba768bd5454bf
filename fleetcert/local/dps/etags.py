"""Versions as DPS writes and compares them."""

from __future__ import annotations

from uuid import uuid4


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
