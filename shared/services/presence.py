"""Who is connected, as far as anybody needs to know: one small row `seen!{id}`, never the record.

By default only devices that are being shut out are followed: their disconnection completes a containment at once, and
their return is told. Who they are stands in the index rows `contained!{id}`: one short range a shard, read every 30 s
on average. A few looks may follow each other at once, so that in a quiet fleet every event finds a fresh one, and a
storm about others costs next to nothing. An event may be about a device whose containment is younger than the last
look: the latest event of each device waits in memory for the next. What is lost with an instance is found by
containment's own looks at the registry.

A late event must not win. To compare its sequence number the row has to be read, and the read brings the ETag: so the
row is written under it, at no further cost, and two instances that hold one partition for a moment cannot undo each
other. A device that connects is read once and written at most once per batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.clock import Clock
from shared.domain.envelope import Envelope
from shared.domain.presence import ConnectionChanged, Contained, Scope, latest, parse_connection_event, reappeared
from shared.errors import BadEvent, InfrastructureFault
from shared.services.batches import EventBatches, Rejected
from shared.services.ports import Alerts, DeadLetters, WorkQueue
from shared.services.seen import SeenRow, SeenRows

LOOK_INTERVAL: Final = timedelta(seconds=30)
BURST: Final = 10
"""Looks that a while without any has saved up."""
MOST_WAITING: Final = 10_000
"""Events that wait for the next look at who is shut out; more of them, and the look is taken early."""
TRIES: Final = 8


class LookBudget:
    """How often the index may be read: one look an interval on average, and after a pause up to `BURST` at once."""

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval
        self._saved: float = BURST
        self._counted_at = datetime.min.replace(tzinfo=UTC)

    def take(self, now: datetime) -> bool:
        """Whether there is one left; it is used up then."""
        self._saved = min(BURST, self._saved + max(now - self._counted_at, timedelta()) / self._interval)
        self._counted_at = now
        if self._saved < 1:
            return False
        self._saved -= 1
        return True


class Presence:
    """Follows connections within its scope. look_interval: between looks at who is shut out, on average."""

    def __init__(
        self,
        rows: SeenRows,
        dead_letters: DeadLetters,
        alerts: Alerts,
        containment: WorkQueue,
        clock: Clock,
        scope: Scope = "contained",
        look_interval: timedelta = LOOK_INTERVAL,
    ) -> None:
        self._rows = rows
        self._batches = EventBatches(dead_letters)
        self._alerts = alerts
        self._containment = containment
        self._clock = clock
        self._scope = scope
        self._contained: Mapping[str, Contained] = {}
        self._looks = LookBudget(look_interval)
        self._waiting: dict[str, ConnectionChanged] = {}

    async def record_connection_events(self, envelopes: Sequence[Envelope]) -> None:
        """Devices that connected or disconnected. Raises: InfrastructureFault."""
        if self._scope != "off":
            await self._batches.take(envelopes, self._take)

    async def _take(self, envelopes: Sequence[Envelope], rejected: Rejected) -> None:
        heard = latest(_parsed(envelopes, rejected))
        self._waiting = latest([*self._waiting.values(), *heard.values()])
        has_looked = await self._look()
        candidates = self._waiting if has_looked else heard
        followed = {d: e for d, e in candidates.items() if d in self._contained}
        await self._follow({**heard, **followed} if self._scope == "all" else followed)
        if has_looked:
            self._waiting = {}  # what comes to be shut out later cares for later events only

    async def _look(self) -> bool:
        """Reads who is being shut out, if it may; whether it did."""
        if not self._looks.take(self._clock.now()) and len(self._waiting) < MOST_WAITING:
            return False
        self._contained = await self._rows.contained()
        return True

    async def _follow(self, events: Mapping[str, ConnectionChanged]) -> None:
        """Keeps the latest of each device. Raises: InfrastructureFault where others keep writing."""
        left = events
        for _ in range(TRIES):
            if not left:
                return
            known = await self._rows.read(left)
            news = {d: e for d, e in left.items() if _is_news(e, known.get(d))}
            told = await self._tell(news, known)
            rows = [_row(e, known.get(d), told.get(d)) for d, e in news.items()]
            beaten = await self._rows.write([row for row in rows if row != known.get(row.device_id)])
            await self._nudge(e for d, e in news.items() if d not in beaten)
            left = {d: left[d] for d in beaten}
        raise InfrastructureFault("table", f"{len(left)} connection states kept changing")

    async def _tell(self, events: Mapping[str, ConnectionChanged], known: Mapping[str, SeenRow]) -> dict[str, datetime]:
        """Tells of devices that are connected though they were shut out; when each that is told of came back.

        Told before it is noted: whoever dies in between tells again under the same id.
        """
        alerts = {
            device_id: alert
            for device_id, event in events.items()
            if (contained := self._contained.get(device_id)) is not None
            and (alert := reappeared(event, contained, _told_at(known.get(device_id)))) is not None
        }
        if alerts:
            await self._alerts.publish(list(alerts.values()))
        return {device_id: alert.time for device_id, alert in alerts.items()}

    async def _nudge(self, events: Iterable[ConnectionChanged]) -> None:
        """Lets containments go on now that wait for a disconnection, or that a device has come back from.

        It is noted by then; a repetition is harmless.
        """
        for event in events:
            contained = self._contained.get(event.device_id)
            if contained is None:
                continue
            if contained.verified_at is None and not event.seen.connected:
                await self._containment.put({"deviceId": event.device_id})
            elif contained.verified_at is not None and event.seen.connected and event.seen.at > contained.verified_at:
                connected_at = event.seen.at.isoformat()
                await self._containment.put({"deviceId": event.device_id, "connectedAt": connected_at})


def _parsed(envelopes: Sequence[Envelope], rejected: Rejected) -> list[ConnectionChanged]:
    events = []
    for envelope in envelopes:
        try:
            events.append(parse_connection_event(envelope))
        except BadEvent as bad:
            rejected[envelope.event_id] = (envelope, bad.reason)
    return [event for event in events if event is not None]


def _is_news(event: ConnectionChanged, known: SeenRow | None) -> bool:
    """The latest event itself counts as news when it comes again: what followed from it may have been cut short."""
    return known is None or known.seen.sequence <= event.seen.sequence


def _row(event: ConnectionChanged, known: SeenRow | None, told_at: datetime | None) -> SeenRow:
    return SeenRow(
        device_id=event.device_id,
        hub=event.hub,
        seen=event.seen,
        told_at=told_at or _told_at(known),
        etag=known.etag if known else None,
    )


def _told_at(known: SeenRow | None) -> datetime | None:
    return known.told_at if known else None
