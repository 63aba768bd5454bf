"""From a record to its rows and back: what stands in the table `fleet`, and under which keys."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

import msgspec

from shared.contracts import format_instant
from shared.domain import keys
from shared.domain.history import HistoryEntry
from shared.domain.record import Actor, Certificate, DeviceRecord, State
from shared.services.ports import Row, Value, Write

LIST_LAYOUT: Final = 2
"""Counts the changes of what the rows `expires!` hold: the next write of a device brings its row up to it."""

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(DeviceRecord)


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it was read, with the ETag that a write must meet. listed: the layout of its row in the list."""

    record: DeviceRecord
    etag: str
    listed: int = LIST_LAYOUT


@dataclass(frozen=True, slots=True)
class Change:
    """A record before (None: there was none) and after, and what its history gains."""

    before: Stored | None
    after: DeviceRecord
    history: tuple[HistoryEntry, ...] = ()


def stored(row: Row) -> Stored:
    """The record in a row that was read."""
    listed = int(str(row.values.get("listed", 1)))
    return Stored(_DECODER.decode(str(row.values["record"])), row.etag or "", listed)


def writes(partition: str, change: Change) -> list[Write]:
    """The rows of one change, for one transaction: the record, its index rows, history and the audit's copy of it."""
    return [
        _record_write(partition, change),
        *_due_writes(partition, change),
        *_expiry_writes(partition, change),
        *_containment_writes(partition, change),
        *(w for entry in change.history for w in _history_writes(partition, change.after.device_id, entry)),
    ]


def ruling_write(entry: HistoryEntry) -> Write:
    """The audit's row of what was ruled for the whole fleet, for the ruling's own transaction. It names no device."""
    key = keys.audit_key("", entry.at, _event(entry))
    return Write("upsert", Row(keys.FLEET_PARTITION, key, _entry_values(entry)))


def actor_values(actor: Actor) -> dict[str, Value]:
    """Who did it, in the columns of a row."""
    return {"actor": actor.name, "actorObjectId": actor.object_id, "actorAppId": actor.app_id}


def actor_of(row: Row) -> Actor:
    """Who did it, from the columns of a row."""
    values = row.values
    return Actor(name=str(values["actor"]), object_id=str(values["actorObjectId"]), app_id=str(values["actorAppId"]))


def _record_write(partition: str, change: Change) -> Write:
    record = change.after
    values: dict[str, Value] = {
        "record": _ENCODER.encode(record).decode(),
        "state": record.state.value,
        "updatedAt": record.updated_at,
        "listed": LIST_LAYOUT,
    }
    key = keys.device_key(record.device_id)
    if change.before is None:
        return Write("insert", Row(partition, key, values))
    return Write("replace", Row(partition, key, values, change.before.etag))


def _due_writes(partition: str, change: Change) -> list[Write]:
    before = _due_key(change.before.record) if change.before else None
    after = _due_key(change.after)
    if before == after:
        return []
    moved = [Write("delete", Row(partition, before, {}))] if before else []
    if after:
        moved.append(Write("upsert", Row(partition, after, {"deviceId": change.after.device_id})))
    return moved


def _expiry_writes(partition: str, change: Change) -> list[Write]:
    before = _expiry_row(partition, change.before.record) if change.before else None
    after = _expiry_row(partition, change.after)
    if before == after and (change.before is None or change.before.listed == LIST_LAYOUT):
        return []
    moved = [Write("delete", before)] if before and (after is None or before.key != after.key) else []
    if after:
        moved.append(Write("upsert", after))
    return moved


def _containment_writes(partition: str, change: Change) -> list[Write]:
    before = _containment_row(partition, change.before.record) if change.before else None
    after = _containment_row(partition, change.after)
    if before == after:
        return []
    if after is None:
        return [Write("delete", before)] if before else []
    return [Write("upsert", after)]


def _containment_row(partition: str, record: DeviceRecord) -> Row | None:
    """Who is being shut out, for those who look at connections: `verifiedAt` once the device was seen gone.

    A device on its way back may connect.
    """
    containment = record.containment
    if containment is None or containment.release is not None:
        return None
    values: dict[str, Value] = {
        "deviceId": record.device_id,
        "requestedAt": containment.requested_at,
        "isProven": containment.block is None or containment.is_proven,
    }
    if containment.disconnected_at is not None:
        values["verifiedAt"] = containment.disconnected_at
    return Row(partition, keys.contained_key(record.device_id), values)


def _due_key(record: DeviceRecord) -> str | None:
    return keys.due_key(record.due_at, record.device_id) if record.due_at else None


def _expiry_row(partition: str, record: DeviceRecord) -> Row | None:
    """The row that lists read: all that a line shows and a filter asks for. A retired device is in no list."""
    if record.state is State.RETIRED:
        return None
    certificate = record.certificate
    valid_until = certificate.valid_until if certificate else None
    values: dict[str, Value | None] = {
        "deviceId": record.device_id,
        "state": record.state.value,
        "reason": record.reason,
        "hub": record.hub,
        "registrationId": record.registration_id if record.registration_id != record.device_id else None,
        "enrollmentGroup": record.enrollment_group,
        "tags": json.dumps(dict(record.tags), separators=(",", ":"), sort_keys=True) if record.tags else None,
        **(_listed(certificate) if certificate else {}),
    }
    held = {name: value for name, value in values.items() if value is not None}
    return Row(partition, keys.expires_key(valid_until, record.device_id), held)


def _listed(certificate: Certificate) -> dict[str, Value | None]:
    return {
        "validFrom": format_instant(certificate.valid_from),
        "validUntil": format_instant(certificate.valid_until),
        "evidence": certificate.evidence.value,
        "thumbprint": certificate.thumbprint,
        "issuer": certificate.issuer,
        "authorityKeyId": certificate.authority_key_id,
    }


def _history_writes(partition: str, device_id: str, entry: HistoryEntry) -> list[Write]:
    """The entry twice: where operators read it, and where the audit's writer fetches it."""
    event, values = _event(entry), {"deviceId": device_id, **_entry_values(entry)}
    places = keys.history_key(device_id, entry.at, event), keys.audit_key(device_id, entry.at, event)
    return [Write("upsert", Row(partition, key, values)) for key in places]


def _event(entry: HistoryEntry) -> str:
    return f"{entry.event_id}/{entry.kind}"


def _entry_values(entry: HistoryEntry) -> dict[str, Value]:
    return {
        "eventId": entry.event_id,
        "at": entry.at,
        "kind": entry.kind,
        **actor_values(entry.actor),
        "reason": entry.reason,
        "details": json.dumps(dict(entry.details), separators=(",", ":"), sort_keys=True),
    }
