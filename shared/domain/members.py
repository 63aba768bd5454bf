"""Reading members of JSON that nobody trusts yet: what is not as expected is a BadEvent that says so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from shared.contracts import parse_instant
from shared.errors import BadEvent

LONGEST_TEXT: Final = 512


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body. Raises: BadEvent."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise BadEvent("the body is not JSON") from problem
    if not isinstance(document, dict):
        raise BadEvent("the body is no JSON object")
    return document


def an_object(value: object, name: str) -> Mapping[str, Any]:
    """A value that must be an object. Raises: BadEvent."""
    if not isinstance(value, Mapping):
        raise BadEvent(f"{name} is no object")
    return value


def text(members: Mapping[str, Any], name: str) -> str:
    """A text that must be there. Raises: BadEvent."""
    value = members.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TEXT:
        raise BadEvent(f"{name} is missing or no text")
    return value


def optional_text(members: Mapping[str, Any], name: str, longest: int = LONGEST_TEXT) -> str | None:
    """A text that may be missing or null. Raises: BadEvent."""
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > longest:
        raise BadEvent(f"{name} is no text of at most {longest} characters")
    return value


def instant(members: Mapping[str, Any], name: str) -> datetime:
    """An instant that must be there, in UTC. Raises: BadEvent."""
    try:
        return parse_instant(text(members, name))
    except (ValueError, OverflowError) as problem:
        raise BadEvent(f"{name} is no instant") from problem
