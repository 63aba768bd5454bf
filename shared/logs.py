"""How a line of the log looks: a text for people, and fields for machines.

A line is written for a decision that changed something, and for trouble; never for the mere passing of time. Fields
come with `extra=about(...)`: exporters make attributes of them; with `LOG_FORMAT=json` they are members of the line.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Final

from shared import tracing

PREFIX: Final = "fleetcert."
OURS: Final = ("shared", "functions", "function_app")
"""The loggers that are this app's."""


def about(**fields: object) -> dict[str, str]:
    """Fields for `extra`, without those that say nothing: `about(device_id=...)` becomes `fleetcert.device.id`."""
    given = {name: str(value) for name, value in fields.items() if value not in (None, "")}
    return {PREFIX + name.replace("_", "."): value for name, value in given.items()}


def fields_of(record: logging.LogRecord) -> dict[str, str]:
    """The fields that came with a line."""
    return {name: value for name, value in vars(record).items() if name.startswith(PREFIX)}


def one_line(text: str) -> str:
    """A text from outside as it may stand in a line: nobody begins a line of his own."""
    return "".join(character if character.isprintable() else " " for character in text)


def is_ours(name: str) -> bool:
    """Whether a logger is this app's."""
    return name.partition(".")[0] in OURS


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Time (RFC 3339), level, logger, message, the fields, the span around it, and what was raised."""
        members: dict[str, str] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **fields_of(record),
        }
        if (span := tracing.current()) is not None:
            members["traceparent"] = span
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return json.dumps(members, ensure_ascii=False)


def write_json() -> None:
    """From now on what goes to a stream goes there as JSON."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler())
    for handler in root.handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setFormatter(JsonLines())
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO)
