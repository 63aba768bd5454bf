"""How the life of an identity in IoT Hub changes a record.

Creations and deletions may come in any order, and before or after what the life itself had to say: the newest of them
bounds the present life.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from shared.domain import reasons
from shared.domain.changes import Reduction, born_late, entry_of, known_until, new_record, next_life
from shared.domain.events import IdentityCreated, IdentityDeleted
from shared.domain.record import DeviceRecord, State

_MOST_HUBS: Final = 4


def identity_created(record: DeviceRecord | None, event: IdentityCreated) -> Reduction | None:
    """A new identity, or a new life of a known one."""
    entry = entry_of(event, reasons.HISTORY_CREATED)
    if record is None:
        return Reduction(replace(new_record(event, event.hub), incarnation_since=event.at), (entry,))
    if _is_old(record, event):
        return None
    known_at = known_until(record, event.hub)
    if record.hub == event.hub and known_at is not None and event.at <= known_at:
        return Reduction(born_late(record, event.at), (entry,))
    if known_at is not None and event.at <= known_at:
        return None
    if record.hub in ("", event.hub) and record.twin_updated_at is None and record.state is not State.RETIRED:
        return Reduction(replace(record, hub=event.hub, incarnation_since=event.at), (entry,))
    return Reduction(next_life(record, event.hub, event.at), (entry,))


def identity_deleted(record: DeviceRecord | None, event: IdentityDeleted) -> Reduction | None:
    """The identity is gone, and the device retires; what its life had to say may still be on its way."""
    record = record or new_record(event, event.hub)
    entry = entry_of(event, reasons.HISTORY_DELETED)
    if record.hub not in ("", event.hub):
        remembered = _remembered(record, event)
        return Reduction(remembered, (entry,)) if remembered != record else None
    if record.state is State.RETIRED and not _is_news(record, event):
        return None
    if record.incarnation_since is not None and event.at < record.incarnation_since:
        return None
    if record.twin_updated_at is not None and event.at < record.twin_updated_at:
        return Reduction(born_late(record, event.at), (entry,)) if _is_news(record, event) else None
    retired = replace(
        record,
        hub=event.hub,
        state=State.RETIRED,
        reason=reasons.IDENTITY_DELETED,
        incarnation_since=event.at,
        updated_at=event.enqueued_at,
        command=None,
        renewal_request=None,
        look_at=None,
        next_deadline=None,
    )
    return Reduction(retired, (entry,))


def _remembered(record: DeviceRecord, event: IdentityDeleted) -> DeviceRecord:
    """A device that moved to another hub is deleted in the old one and lives on; what that one said before is over."""
    known_at = record.deletions.get(event.hub)
    if known_at is not None and event.at <= known_at:
        return record
    deletions = sorted({**record.deletions, event.hub: event.at}.items(), key=lambda item: item[1])
    return replace(record, deletions=dict(deletions[-_MOST_HUBS:]))


def _is_old(record: DeviceRecord, event: IdentityCreated) -> bool:
    """The creation of a life that is over, or of the one that is known, arriving late or again."""
    return record.hub == event.hub and not _is_news(record, event)


def _is_news(record: DeviceRecord, event: IdentityCreated | IdentityDeleted) -> bool:
    return record.incarnation_since is None or event.at > record.incarnation_since
