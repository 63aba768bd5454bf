"""Suppressions in the fleet table: rows `suppression!{id}` in the partition `fleet`."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from shared.clock import Clock
from shared.contracts import format_instant
from shared.domain import reasons
from shared.domain.history import HistoryEntry
from shared.domain.keys import FLEET_PARTITION, escape
from shared.domain.record import Actor
from shared.domain.suppressing import TAG, Suppression
from shared.errors import NotFound, NotPossible
from shared.logs import about, one_line
from shared.services.ports import Row, Table, Value, Write
from shared.services.rows import actor_of, actor_values, ruling_write

LONGEST: Final = timedelta(days=365)
CACHE_LIFE: Final = timedelta(seconds=30)
MOST: Final = 100
"""Rows that are looked at, and so the most that may stand at a time: who needs more should change a threshold."""
_PREFIX: Final = "suppression!"

_log = logging.getLogger(__name__)


class Suppressions:
    """What operators do not want to be told. What is read is remembered for 30 s."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._known: tuple[Suppression, ...] = ()
        self._known_until: datetime | None = None

    async def current(self) -> tuple[Suppression, ...]:
        """Those that have not ended. Raises: InfrastructureFault."""
        now = self._clock.now()
        if self._known_until is None or self._known_until <= now:
            self._known = tuple(await self._stored())
            self._known_until = now + CACHE_LIFE
        return tuple(s for s in self._known if s.until > now)

    async def add(
        self,
        *,
        alert_type: str,
        device: str,
        until: datetime,
        actor: Actor,
        reason: str,
        suppression_id: str | None = None,
    ) -> Suppression:
        """Stores one; one that stands under the id is left as it is. Other instances heed it within 30 s.

        Raises: NotPossible without an end, a reason or room.
        """
        now = self._clock.now()
        _require_sense(device, until, reason, now)
        await self.prune()
        stored = await self._stored()
        if (same := next((s for s in stored if s.id == suppression_id), None)) is not None:
            return same
        if len(stored) >= MOST:
            raise NotPossible(f"{MOST} suppressions stand already: lift some")
        suppression = Suppression(
            id=suppression_id or str(uuid4()),
            alert_type=alert_type,
            device=device,
            until=until,
            actor=actor,
            reason=reason,
            ruled_at=now,
        )
        entry = _entry(reasons.AUDIT_SUPPRESSED, suppression, suppression.id, now, actor, reason)
        await self._write(Write("upsert", _row(suppression)), entry)
        return suppression

    async def lift(
        self, suppression_id: str, actor: Actor, reason: str, event_id: str | None = None, *, is_again: bool = False
    ) -> None:
        """Ends one now. Its row stays until those that have ended are removed.

        is_again: the same request may have been heard already, and one that does not stand is what came of it. Raises:
        NotFound where it does not stand, Conflict where somebody lifts it at this moment, InfrastructureFault.
        """
        now = self._clock.now()
        row = await self._table.get(FLEET_PARTITION, _place(suppression_id).key)
        if row is None or (suppression := _suppression(row)).until <= now:
            if is_again:
                return
            raise NotFound("suppression", suppression_id)
        entry = _entry(reasons.AUDIT_LIFTED, suppression, event_id or str(uuid4()), now, actor, reason)
        await self._write(Write("replace", replace(row, values={**row.values, "until": now})), entry)

    async def standing(self) -> tuple[Suppression, ...]:
        """Those that have not ended, read anew, the one that ends first in front. Raises: InfrastructureFault."""
        now = self._clock.now()
        return tuple(sorted((s for s in await self._stored() if s.until > now), key=lambda s: (s.until, s.id)))

    async def prune(self) -> int:
        """Removes those that have ended. Returns how many."""
        now = self._clock.now()
        ended = [s for s in await self._stored() if s.until <= now]
        if ended:
            await self._table.commit(FLEET_PARTITION, [Write("delete", _place(s.id)) for s in ended])
            _log.info("%d suppressions have ended", len(ended))
        return len(ended)

    async def _write(self, write: Write, entry: HistoryEntry) -> None:
        await self._table.commit(FLEET_PARTITION, [write, ruling_write(entry)])
        self._known_until = None
        said, who = entry.details, entry.actor.object_id or entry.actor.name
        kind, device = said["alertType"], said["device"]
        fields = about(kind=entry.kind, alert_type=kind, device_id=device, actor=who, reason=entry.reason)
        _log.info("%s: %s of %s until %s", entry.kind, one_line(kind), one_line(device), said["until"], extra=fields)

    async def _stored(self) -> list[Suppression]:
        rows = self._table.scan(FLEET_PARTITION, _PREFIX, _PREFIX[:-1] + '"', MOST)
        return [_suppression(row) async for row in rows]


def _require_sense(device: str, until: datetime, reason: str, now: datetime) -> None:
    if not now < until <= now + LONGEST:
        raise NotPossible(f"a suppression ends in the future, within {LONGEST.days} days")
    if not reason.strip():
        raise NotPossible("a suppression needs a reason")
    if device.startswith(TAG) and "=" not in device:
        raise NotPossible("a tag is chosen as tag:name=value")


def _entry(kind: str, suppression: Suppression, event_id: str, at: datetime, actor: Actor, reason: str) -> HistoryEntry:
    """What the audit says of it. The device, or the tag, is among the details: the entry is the whole fleet's."""
    details = {
        "id": suppression.id,
        "alertType": suppression.alert_type,
        "device": suppression.device,
        "until": format_instant(suppression.until),
    }
    return HistoryEntry(event_id=event_id, at=at, kind=kind, actor=actor, reason=reason, details=details)


def _place(suppression_id: str) -> Row:
    return Row(FLEET_PARTITION, _PREFIX + escape(suppression_id), {})


def _row(suppression: Suppression) -> Row:
    values: dict[str, Value] = {
        "id": suppression.id,
        "alertType": suppression.alert_type,
        "device": suppression.device,
        "until": suppression.until,
        **actor_values(suppression.actor),
        "reason": suppression.reason,
    }
    ruled = {"ruledAt": suppression.ruled_at} if suppression.ruled_at else {}
    return Row(FLEET_PARTITION, _PREFIX + escape(suppression.id), values | ruled)


def _suppression(row: Row) -> Suppression:
    values = row.values
    until, ruled_at = values["until"], values.get("ruledAt")
    return Suppression(
        id=str(values["id"]),
        alert_type=str(values["alertType"]),
        device=str(values["device"]),
        until=until if isinstance(until, datetime) else datetime.fromisoformat(str(until)),
        actor=actor_of(row),
        reason=str(values["reason"]),
        ruled_at=ruled_at if isinstance(ruled_at, datetime) else None,
    )
