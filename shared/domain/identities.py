"""How the life of an identity in IoT Hub changes a record."""

from __future__ import annotations

from dataclasses import replace

from shared.domain import reasons
from shared.domain.changes import Reduction, entry_of, known_until, new_record, next_life
from shared.domain.events import IdentityCreated, IdentityDeleted
from shared.domain.record import DeviceRecord, State


def identity_created(record: DeviceRecord | None, event: IdentityCreated) -> Reduction | None:
    """A new identity, or a new life of a known one."""
    if record is None:
        created = replace(new_record(event, event.hub), incarnation_since=event.at)
        return Reduction(created, (entry_of(event, reasons.HISTORY_CREATED),))
    known_at = known_until(record, event.hub)
    if known_at is not None and event.at <= known_at:
        return None  # the creation of the life that is already known, arriving late
    if record.twin_updated_at is None and record.state is not State.RETIRED:
        begun = replace(record, hub=record.hub or event.hub, incarnation_since=event.at)
        return Reduction(begun, (entry_of(event, reasons.HISTORY_CREATED),))
    created = replace(next_life(record, event.hub), incarnation_since=event.at)
    return Reduction(created, (entry_of(event, reasons.HISTORY_CREATED),))


def identity_deleted(record: DeviceRecord | None, event: IdentityDeleted) -> Reduction | None:
    """The identity is gone, and the device retires."""
    if record is None or record.state is State.RETIRED or record.hub not in ("", event.hub):
        return None  # a device that moved to another hub is deleted in the old one, and lives on
    latest = max((i for i in (record.twin_updated_at, record.incarnation_since) if i is not None), default=event.at)
    if event.at < latest:
        return None
    retired = replace(
        record,
        state=State.RETIRED,
        reason=reasons.IDENTITY_DELETED,
        incarnation_since=event.at,
        updated_at=event.enqueued_at,
        command=None,
        renewal_request=None,
        look_at=None,
        next_deadline=None,
    )
    return Reduction(retired, (entry_of(event, reasons.HISTORY_DELETED),))
