"""What makes a JSON object a telemetry item (Microsoft's endpoint schemas: Envelope, *Data), as far as it is checked.

Azure docs: "Application Insights telemetry data model" names the fields and their lengths; exporters cut longer ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

_MAX_ITEM_OCTETS: Final = 64 * 1024  # Azure docs: Application Insights limits
_MAX_NAME: Final = 150
_MAX_VALUE: Final = 8192
_DURATION: Final = re.compile(r"\d+\.\d\d:\d\d:\d\d\.\d{3,7}")
_ID: Final = re.compile(r"[0-9a-f]{16}")
_TRACE: Final = re.compile(r"[0-9a-f]{32}")

type Data = Mapping[str, Any]
type Check = Callable[[Data], str | None]


def problem_with(item: Any) -> str | None:
    """Why the parsed JSON is no telemetry item, or None where it is one."""
    if not isinstance(item, Mapping):
        return "a telemetry item is a JSON object"
    return next((problem for check in _CHECKS if (problem := check(item)) is not None), None)


def _fits(item: Data) -> str | None:
    return "the item is larger than 64 KB" if len(json.dumps(item)) > _MAX_ITEM_OCTETS else None


def _members_are_there(item: Data) -> str | None:
    missing = [name for name in ("name", "time", "iKey") if not _is_text(item.get(name))]
    return f"required fields are missing or empty: {', '.join(missing)}" if missing else None


def _time_is_an_instant(item: Data) -> str | None:
    try:
        instant = datetime.fromisoformat(item["time"])
    except ValueError:
        return f"time {item['time']!r} is no instant"
    return None if instant.tzinfo is not None else f"time {item['time']!r} has no offset"


def _operation_is_w3c(item: Data) -> str | None:
    """Ids are those of W3C trace context, where an item has them."""
    tags = item.get("tags") or {}
    operation, parent = tags.get("ai.operation.id"), tags.get("ai.operation.parentId")
    if operation is not None and not _TRACE.fullmatch(operation):
        return f"ai.operation.id {operation!r} is no trace id"
    return None if parent is None or _ID.fullmatch(parent) else f"ai.operation.parentId {parent!r} is no span id"


def _data_is_of_a_kind(item: Data) -> str | None:
    data = item.get("data")
    if not isinstance(data, Mapping) or not isinstance(data.get("baseData"), Mapping):
        return "data.baseData is missing"
    check = _KINDS.get(str(data.get("baseType")))
    if check is None:
        return f"data.baseType {data.get('baseType')!r} is none of {', '.join(_KINDS)}"
    base: Data = data["baseData"]
    return check(base) or _properties_fit(base)


def _properties_fit(base: Data) -> str | None:
    for name, value in (base.get("properties") or {}).items():
        if len(name) > _MAX_NAME or not isinstance(value, str) or len(value) > _MAX_VALUE:
            return f"property {name[:_MAX_NAME]!r} is no text, or it is too long"
    return None


def _is_a_request(base: Data) -> str | None:
    return _is_a_call(base) or (None if _is_text(base.get("responseCode")) else "responseCode is missing")


def _is_a_call(base: Data) -> str | None:
    if not _ID.fullmatch(str(base.get("id"))) or not _DURATION.fullmatch(str(base.get("duration"))):
        return "id or duration is missing or malformed"
    return None if _is_text(base.get("name")) and len(base["name"]) <= 1024 else "name is missing or too long"


def _is_a_message(base: Data) -> str | None:
    message = base.get("message")
    return None if _is_text(message) and len(str(message)) <= 32_768 else "message is missing or too long"


def _is_an_exception(base: Data) -> str | None:
    exceptions = base.get("exceptions") or [{}]
    return None if all(_is_text(e.get("message")) for e in exceptions) else "an exception has no message"


def _is_a_metric(base: Data) -> str | None:
    metrics = base.get("metrics") or [{}]
    if len(metrics) != 1:
        return "an item holds one metric"
    fits = _is_text(metrics[0].get("name")) and isinstance(metrics[0].get("value"), int | float)
    return None if fits else "a metric has a name and a number"


def _is_an_event(base: Data) -> str | None:
    return None if _is_text(base.get("name")) else "an event has a name"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


_CHECKS: Final[tuple[Check, ...]] = (
    _fits,
    _members_are_there,
    _time_is_an_instant,
    _operation_is_w3c,
    _data_is_of_a_kind,
)
_KINDS: Final[Mapping[str, Check]] = {
    "RequestData": _is_a_request,
    "RemoteDependencyData": _is_a_call,
    "MessageData": _is_a_message,
    "ExceptionData": _is_an_exception,
    "MetricData": _is_a_metric,
    "EventData": _is_an_event,
}
