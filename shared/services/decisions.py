"""What changed, said in one place: each row that a history gains is a decision that changed something.

It is counted, it is one line of the log, and where it is about a command it stands in the command's trace. The history
is written with the record in one transaction: nothing is said that did not happen, and nothing happens unsaid.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Final

from shared import telemetry, tracing
from shared.domain import reasons
from shared.domain.keys import HISTORY
from shared.logs import about, one_line
from shared.services.ports import Row, Write

_OF_COMMANDS: Final = frozenset(
    {
        reasons.HISTORY_COMMANDED,
        reasons.HISTORY_COMMAND_SENT,
        reasons.HISTORY_COMMAND_REFUSED,
        reasons.HISTORY_COMMAND_ANSWERED,
    }
)
"""Kinds whose event is the command itself."""
_TROUBLE: Final = frozenset(
    {
        reasons.HISTORY_MISMATCH,
        reasons.HISTORY_UNCONFIRMED,
        reasons.HISTORY_COMMAND_REFUSED,
        reasons.HISTORY_OVERDUE,
        reasons.HISTORY_EXPIRED,
        reasons.HISTORY_REENABLED,
        reasons.HISTORY_EVALUATION_FAILED,
    }
)
"""Kinds that somebody may have to look after: warnings in the log."""

_log = logging.getLogger(__name__)


def tell(writes: Sequence[Write]) -> None:
    """Tells of the history rows among writes that have been committed."""
    for write in writes:
        if write.kind == "upsert" and write.row.key.startswith(HISTORY):
            _tell(write.row)


def _tell(row: Row) -> None:
    kind, device_id, reason = (str(row.values.get(name, "")) for name in ("kind", "deviceId", "reason"))
    command_id = _command_of(row, kind)
    fields = about(
        device_id=device_id,
        kind=kind,
        reason=reason,
        actor=row.values.get("actorObjectId") or row.values.get("actor"),
        event_id=row.values.get("eventId"),
        command_id=command_id,
    )
    telemetry.note(telemetry.RECORDED_CHANGES, 1, {"kind": kind})
    level = logging.WARNING if kind in _TROUBLE else logging.INFO
    _log.log(level, "%s %s%s", kind, one_line(device_id), one_line(f": {reason}" if reason else ""), extra=fields)
    if command_id is not None:
        _trace(command_id, kind, fields)


def _trace(command_id: str, kind: str, fields: dict[str, str]) -> None:
    """A moment in the command's trace, linked to the invocation that brought it about."""
    here = tracing.current()
    with tracing.span(kind, attributes=fields, parent=tracing.of_command(command_id), links=[here] if here else []):
        pass


def _command_of(row: Row, kind: str) -> str | None:
    """The command that a change is about: that was decided on, sent, answered, or that led to a renewal."""
    if kind in _OF_COMMANDS:
        return str(row.values.get("eventId"))
    if kind != reasons.HISTORY_RENEWED:
        return None
    command_id: str | None = json.loads(str(row.values.get("details") or "{}")).get("commandId")
    return command_id
