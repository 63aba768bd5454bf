"""Pauses of renewal commands in the fleet table: rows `pause!{tag}` in the partition `fleet`, and `pause!~2a` for all.

A pause that was ended keeps its row for a while, which says by its end that it does not hold. Who ended it, and why, is
in the audit.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import batched
from typing import Final
from uuid import uuid4

from shared.clock import Clock
from shared.contracts import format_instant
from shared.domain import reasons
from shared.domain.circumstances import Pause
from shared.domain.history import HistoryEntry
from shared.domain.keys import FLEET_PARTITION, escape
from shared.domain.record import Actor
from shared.errors import NotPossible
from shared.logs import about, one_line
from shared.services.ports import Row, Table, Value, Write
from shared.services.rows import actor_of, actor_values, ruling_write
from shared.services.store import TRANSACTION_LIMIT

MOST: Final = 100
"""Pauses that may stand at a time: who needs more should pause the fleet."""
_ROWS_READ: Final = 1000
"""One page: the pauses that stand, and those that have ended lately."""
_KEPT: Final = timedelta(hours=1)
"""So long a row that has ended stays, so that none is removed that somebody is writing anew."""
_PREFIX: Final = "pause!"

_log = logging.getLogger(__name__)


class Pauses:
    """What holds renewal commands back."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    async def standing(self) -> tuple[Pause, ...]:
        """Those that hold now, the one that ends first in front. Raises: InfrastructureFault."""
        now = self._clock.now()
        held = [pause for pause in map(_pause, await self._rows()) if pause.until > now]
        return tuple(sorted(held, key=lambda pause: (pause.until, pause.tag or "")))

    async def pause(
        self, until: datetime, actor: Actor, reason: str, tag: str | None = None, pause_id: str | None = None
    ) -> Pause:
        """Stores one, in place of one of the same scope; one that stands under the id is left as it is.

        Raises: NotPossible without an end in the future, a reason or room, InfrastructureFault.
        """
        now = self._clock.now()
        _require_sense(until, reason, tag, now)
        pause = Pause(id=pause_id or str(uuid4()), until=until, tag=tag, actor=actor, reason=reason, ruled_at=now)
        known = {row.key: _pause(row) for row in await self._rows()}
        if (same := known.get(_key(tag))) is not None and same.id == pause.id:
            return same
        _require_room([p for p in known.values() if p.until > now and p.tag != tag])
        await self._remove([key for key, p in known.items() if p.until <= now - _KEPT and p.tag != tag])
        entry = _entry(reasons.AUDIT_PAUSED, pause, pause.id, now, actor, reason)
        await self._write(Write("upsert", _row(pause)), entry)
        return pause

    async def resume(self, actor: Actor, reason: str, tag: str | None = None, event_id: str | None = None) -> bool:
        """Ends the pause of this scope now. Whether one stood; where none did, nothing changes.

        Raises: Conflict where somebody rules the same at this moment, InfrastructureFault.
        """
        now = self._clock.now()
        row = await self._table.get(FLEET_PARTITION, _key(tag))
        if row is None or (pause := _pause(row)).until <= now:
            return False
        ended = replace(row, values={**row.values, "until": now})
        entry = _entry(reasons.AUDIT_RESUMED, pause, event_id or str(uuid4()), now, actor, reason)
        await self._write(Write("replace", ended), entry)
        return True

    async def _write(self, write: Write, entry: HistoryEntry) -> None:
        await self._table.commit(FLEET_PARTITION, [write, ruling_write(entry)])
        tag, until, who = entry.details.get("tag"), entry.details["until"], entry.actor.object_id or entry.actor.name
        fields = about(kind=entry.kind, tag=tag, until=until, actor=who, reason=entry.reason)
        _log.info(
            "%s: %s until %s: %s",
            *(entry.kind, one_line(tag or "the fleet"), until, one_line(entry.reason)),
            extra=fields,
        )

    async def _remove(self, keys: list[str]) -> None:
        for batch in batched(keys, TRANSACTION_LIMIT, strict=False):
            writes = [Write("delete", Row(FLEET_PARTITION, key, {})) for key in batch]
            await self._table.commit(FLEET_PARTITION, writes)

    async def _rows(self) -> list[Row]:
        return [row async for row in self._table.scan(FLEET_PARTITION, _PREFIX, _PREFIX[:-1] + '"', _ROWS_READ)]


def _require_sense(until: datetime, reason: str, tag: str | None, now: datetime) -> None:
    if until <= now:
        raise NotPossible("a pause ends in the future")
    if not reason.strip() or (tag is not None and "=" not in tag):
        raise NotPossible("a pause has a reason, and a tag is chosen as name=value")


def _require_room(others: list[Pause]) -> None:
    if len(others) >= MOST:
        raise NotPossible(f"{MOST} pauses stand already: end some, or pause the fleet")


def _entry(kind: str, pause: Pause, event_id: str, at: datetime, actor: Actor, reason: str) -> HistoryEntry:
    """What the audit says of it. A pause without a tag is the fleet's."""
    scope = {"tag": pause.tag} if pause.tag else {}
    details = {"id": pause.id, **scope, "until": format_instant(pause.until)}
    return HistoryEntry(event_id=event_id, at=at, kind=kind, actor=actor, reason=reason, details=details)


def _key(tag: str | None) -> str:
    """A key has 512 characters at most, and an escaped tag may have more: a long one is told by its digest."""
    name = escape(tag or "*")
    return f"{_PREFIX}{name}" if len(name) <= 256 else f"{_PREFIX}!{hashlib.sha256(name.encode()).hexdigest()}"


def _row(pause: Pause) -> Row:
    values: dict[str, Value] = {
        "id": pause.id,
        "until": pause.until,
        "reason": pause.reason,
        "tag": pause.tag or "",
        **actor_values(pause.actor),
        "ruledAt": pause.ruled_at,
    }
    return Row(FLEET_PARTITION, _key(pause.tag), values)


def _pause(row: Row) -> Pause:
    values = row.values
    return Pause(
        until=_instant(row, "until"),
        reason=str(values["reason"]),
        tag=str(values["tag"]) or None,
        id=str(values.get("id", row.key)),
        actor=actor_of(row),
        ruled_at=_instant(row, "ruledAt"),
    )


def _instant(row: Row, name: str) -> datetime:
    value = row.values[name]
    if not isinstance(value, datetime):
        raise TypeError(f"{row.key}: {name} is no instant")
    return value
