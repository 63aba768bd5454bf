"""The proof that a device is out, and what it means when it is seen again. Pure.

Azure promises no bound for the end of a live connection, so that what is claimed is what was seen, and no more.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from shared.contracts import AlertType, format_instant
from shared.domain import reasons
from shared.domain.alerts import device_alert
from shared.domain.changes import Reduction
from shared.domain.containing import contained, occasion, progress, told_of
from shared.domain.history import HistoryEntry
from shared.domain.record import DISPATCH_PATIENCE, Containment, DeviceRecord, State

ONE_ALERT_IN: Final = timedelta(hours=1)
"""How often it is told that a contained device tried to register, or did."""
REMINDED_AFTER: Final = timedelta(days=1)
"""How often it is told that a block is not proven."""
LATE: Final = 3
"""Looks at a device that is still connected, after which people are told."""


class Sighting(StrEnum):
    """Where a device was seen that is shut out."""

    CONNECTED = "connected"
    REGISTERED = "registered"


def looked(record: DeviceRecord, connected: bool, at: datetime, interval: timedelta) -> Reduction:
    """One look at the live connection. Two looks without one, `interval` apart, and the device is gone."""
    containment = contained(record)
    if connected:
        return _still_connected(record, replace(containment, gone_since=None), at, interval)
    if containment.gone_since is None:
        return Reduction(_waiting(record, replace(containment, gone_since=at), at, interval))
    if at - containment.gone_since < interval:
        return Reduction(_waiting(record, containment, at, interval))
    return _verified(record, at, "two looks")


def _still_connected(record: DeviceRecord, containment: Containment, at: datetime, interval: timedelta) -> Reduction:
    """Azure promises no bound for the end of a live connection: it is waited for, and told once when it lasts."""
    disabled_at = containment.hub_disabled_at or at
    if containment.told_late_at is not None or at - disabled_at < LATE * interval:
        return Reduction(_waiting(record, containment, at, interval))
    told = _waiting(record, replace(containment, told_late_at=at), at, interval)
    data = {"reason": "the device is still connected", "hubDisabledAt": format_instant(disabled_at)}
    late = f"late/{disabled_at.isoformat()}/{occasion(record)}"
    alert = device_alert(AlertType.DEVICE_CONTAINMENT_UNVERIFIED, record.device_id, late, at, data)
    return Reduction(told_of(told, alert, at))


def disconnected(record: DeviceRecord, gone_at: datetime, at: datetime) -> Reduction:
    """The hub told at `at` or before that the connection ended at `gone_at`, after the intent: the device is gone."""
    return _verified(record, at, f"disconnect event of {format_instant(gone_at)}")


def reappeared(record: DeviceRecord, how: Sighting, seen_at: datetime, at: datetime) -> Reduction | None:
    """A device that is shut out was seen where it must not be, at `seen_at`: it is shut out again.

    None where nothing is undone by it: the device is not shut out (any more), or the step that it would contradict was
    done later than that.
    """
    containment = record.containment
    if containment is None or containment.release is not None or record.state is State.RETIRED:
        return None
    done_at = containment.blocked_at if how is Sighting.REGISTERED else containment.disconnected_at
    if done_at is None or seen_at <= done_at:
        return None
    undone = containment.again(at)
    if how is Sighting.REGISTERED:  # the block is made once more: it may have been removed
        undone = replace(undone, block=None, blocked_at=None, refused_at=None, passed_at=seen_at)
    again = replace(
        record,
        state=State.DISABLED,
        reason=reasons.CONTAINING,
        containment=undone,
        dispatch_by=at + DISPATCH_PATIENCE,
        next_deadline=at + DISPATCH_PATIENCE,
        updated_at=max(record.updated_at, at),
    )
    event_id = f"{how}/{seen_at.isoformat()}"
    details = {"how": how.value, "seenAt": format_instant(seen_at)}
    entry = HistoryEntry(event_id=event_id, at=at, kind=reasons.HISTORY_REAPPEARED, details=details)
    told_at = record.blocked_attempt_alerted_at
    if how is Sighting.CONNECTED or (told_at is not None and seen_at - told_at < ONE_ALERT_IN):
        return Reduction(again, (entry,))  # of connections, who follows them has told
    data = {"reason": "the device registered with DPS though it is blocked", "seenAt": format_instant(seen_at)}
    alert = device_alert(AlertType.DEVICE_CONTAINMENT_UNVERIFIED, record.device_id, event_id, at, data)
    return Reduction(replace(told_of(again, alert, at), blocked_attempt_alerted_at=seen_at), (entry,))


def was_refused(containment: Containment, attempt_at: datetime) -> bool:
    """Whether an attempt to register that failed then says anything of the block: it stood by that second.

    DPS's log tells the second.
    """
    if containment.blocked_at is None or containment.release is not None:
        return False
    return attempt_at >= containment.blocked_at.replace(microsecond=0)


def _verified(record: DeviceRecord, at: datetime, evidence: str) -> Reduction:
    containment = replace(contained(record), disconnected_at=at)
    reduction = progress(record, containment, reasons.HISTORY_DISCONNECTED, at, {"evidence": evidence})
    next_deadline = None if containment.is_proven else at + REMINDED_AFTER
    if record.revocation is not None and record.revocation.has_work:
        next_deadline = at + DISPATCH_PATIENCE  # it is looked at again
    return replace(reduction, record=replace(reduction.record, reason=reasons.CONTAINED, next_deadline=next_deadline))


def _waiting(record: DeviceRecord, containment: Containment, at: datetime, interval: timedelta) -> DeviceRecord:
    return replace(record, containment=containment, next_deadline=at + interval, updated_at=at)
