"""What makes a JSON object a CloudEvent (CloudEvents 1.0.2, JSON format), as Event Grid's schema check sees it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

_REQUIRED: Final = ("id", "source", "specversion", "type")
_OPTIONAL_TEXT: Final = ("subject", "datacontenttype", "dataschema")
_ATTRIBUTE_NAME: Final = re.compile(r"[a-z0-9]+")
_NOT_ATTRIBUTES: Final = frozenset({"data", "data_base64"})


def problem_with(event: Any) -> str | None:
    """Why the parsed JSON is no CloudEvent, or None where it is one."""
    if not isinstance(event, Mapping):
        return "a CloudEvent is a JSON object"
    checks = (_attributes_are_named_well, _required_are_there, _optional_are_text, _time_is_an_instant, _data_is_one)
    return next((problem for check in checks if (problem := check(event)) is not None), None)


def _attributes_are_named_well(event: Mapping[str, Any]) -> str | None:
    odd = [name for name in event.keys() - _NOT_ATTRIBUTES if not _ATTRIBUTE_NAME.fullmatch(name)]
    return f"attribute names are lower-case letters and digits: {sorted(odd)}" if odd else None


def _required_are_there(event: Mapping[str, Any]) -> str | None:
    missing = [name for name in _REQUIRED if not isinstance(event.get(name), str) or not event[name]]
    if missing:
        return f"required attributes are missing or empty: {', '.join(missing)}"
    return None if event["specversion"] == "1.0" else f"specversion {event['specversion']!r} is not 1.0"


def _optional_are_text(event: Mapping[str, Any]) -> str | None:
    wrong = [name for name in _OPTIONAL_TEXT if event.get(name, "x") is not None and not _is_text(event.get(name, "x"))]
    return f"attributes must be text that is not empty: {', '.join(wrong)}" if wrong else None


def _time_is_an_instant(event: Mapping[str, Any]) -> str | None:
    if event.get("time") is None:
        return None
    try:
        instant = datetime.fromisoformat(event["time"])
    except (TypeError, ValueError):
        return f"time {event['time']!r} is not an RFC 3339 instant"
    return None if instant.tzinfo else f"time {event['time']!r} has no offset"


def _data_is_one(event: Mapping[str, Any]) -> str | None:
    both = event.keys() >= _NOT_ATTRIBUTES
    return "data and data_base64 exclude each other" if both else None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != ""
