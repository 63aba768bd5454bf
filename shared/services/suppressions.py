"""Suppressions in the fleet table: rows `suppression!{id}` in the partition `fleet`."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from shared.clock import Clock
from shared.domain.keys import FLEET_PARTITION, escape
from shared.domain.record import Actor
from shared.domain.suppressing import TAG, Suppression
from shared.errors import NotPossible
from shared.logs import about, one_line
from shared.services.ports import Row, Table, Write

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
        """Stores one, in place of one with the id. Other instances heed it within 30 s.

        Raises: NotPossible without an end, a reason or room.
        """
        _require_sense(device, until, reason, self._clock.now())
        await self.prune()
        if len(await self._stored()) >= MOST:
            raise NotPossible(f"{MOST} suppressions stand already: lift some")
        suppression = Suppression(
            id=suppression_id or str(uuid4()),
            alert_type=alert_type,
            device=device,
            until=until,
            actor=actor,
            reason=reason,
        )
        await self._table.commit(FLEET_PARTITION, [Write("upsert", _row(suppression))])
        self._known_until = None
        who = actor.object_id or actor.name
        fields = about(kind="alertsSuppressed", alert_type=alert_type, device_id=device, actor=who, reason=reason)
        _log.info("%s of %s suppressed until %s", one_line(alert_type), one_line(device), until, extra=fields)
        return suppression

    async def lift(self, suppression_id: str) -> None:
        """Ends one now; one that has ended stays so."""
        await self._table.commit(FLEET_PARTITION, [Write("delete", _place(suppression_id))])
        self._known_until = None

    async def prune(self) -> int:
        """Removes those that have ended. Returns how many."""
        now = self._clock.now()
        ended = [s for s in await self._stored() if s.until <= now]
        if ended:
            await self._table.commit(FLEET_PARTITION, [Write("delete", _place(s.id)) for s in ended])
            _log.info("%d suppressions have ended", len(ended))
        return len(ended)

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


def _place(suppression_id: str) -> Row:
    return Row(FLEET_PARTITION, _PREFIX + escape(suppression_id), {})


def _row(suppression: Suppression) -> Row:
    return Row(
        FLEET_PARTITION,
        _PREFIX + escape(suppression.id),
        {
            "id": suppression.id,
            "alertType": suppression.alert_type,
            "device": suppression.device,
            "until": suppression.until,
            "actor": suppression.actor.name,
            "actorObjectId": suppression.actor.object_id,
            "actorAppId": suppression.actor.app_id,
            "reason": suppression.reason,
        },
    )


def _suppression(row: Row) -> Suppression:
    values = row.values
    until = values["until"]
    return Suppression(
        id=str(values["id"]),
        alert_type=str(values["alertType"]),
        device=str(values["device"]),
        until=until if isinstance(until, datetime) else datetime.fromisoformat(str(until)),
        actor=Actor(
            name=str(values["actor"]), object_id=str(values["actorObjectId"]), app_id=str(values["actorAppId"])
        ),
        reason=str(values["reason"]),
    )
