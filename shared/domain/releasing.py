"""Letting a device in again, step by step: exactly what containment did is undone. Pure.

The last step is a second look: what a containment that was under way had sent may arrive after it was undone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from shared.contracts import AlertType
from shared.domain import reasons
from shared.domain.alerts import device_alert
from shared.domain.changes import Reduction, telling
from shared.domain.containing import contained, took
from shared.domain.history import HistoryEntry
from shared.domain.record import (
    DISPATCH_PATIENCE,
    Actor,
    Containment,
    DeviceRecord,
    Release,
    RenewalRequest,
    State,
)

FIRST_LOOK: Final = timedelta(minutes=1)
"""How soon the twin is read of a device of which no certificate is known."""


class Restoring(StrEnum):
    """What is to be done next to let a device in."""

    REGISTRY = "restore-registry"
    ENROLLMENT = "restore-enrollment"
    IDENTITY = "restore-identity"
    LOOK_AGAIN = "look-again"


def next_restoring(containment: Containment, release: Release) -> Restoring:
    """The first that is not done, in the order opposite to that of shutting out. What was not begun is not undone."""
    if containment.registry_before is not None and release.registry_restored_at is None:
        return Restoring.REGISTRY
    if containment.enrollment_before is not None and release.enrollment_restored_at is None:
        return Restoring.ENROLLMENT
    if containment.identity_before is not None and release.identity_restored_at is None:
        return Restoring.IDENTITY
    return Restoring.LOOK_AGAIN


def release_requested(record: DeviceRecord, actor: Actor, reason: str, at: datetime) -> Reduction | None:
    """The wish to have the device back; None where it is on its way back already."""
    containment = contained(record)
    if containment.release is not None:
        return None
    release = Release(actor=actor, reason=reason, requested_at=at)
    changed = replace(
        record,
        reason=reasons.ENABLING,
        containment=replace(containment, release=release),
        dispatch_by=at + DISPATCH_PATIENCE,
        next_deadline=at + DISPATCH_PATIENCE,
        updated_at=at,
    )
    return Reduction(changed, (_entry(changed, reasons.HISTORY_ENABLE_REQUESTED, at),))


def registry_restored(record: DeviceRecord, outcome: str, at: datetime) -> Reduction:
    """The device is in the ADR namespace what it was before. outcome: what became of it, in words."""
    release = replace(released(record), registry_restored_at=at)
    return _restored(record, release, "registry", outcome, reasons.HISTORY_REGISTRY_RESTORED, at)


def enrollment_restored(record: DeviceRecord, outcome: str, at: datetime) -> Reduction:
    """DPS has what it had before."""
    release = replace(released(record), enrollment_restored_at=at)
    return _restored(record, release, "enrollment", outcome, reasons.HISTORY_DPS_UNBLOCKED, at)


def identity_restored(record: DeviceRecord, outcome: str, at: datetime) -> Reduction:
    """The hub's identity is what it was before."""
    release = replace(released(record), identity_restored_at=at)
    return _restored(record, release, "identity", outcome, reasons.HISTORY_HUB_RESTORED, at)


def settling(record: DeviceRecord, at: datetime, interval: timedelta) -> Reduction:
    """Everything is restored as far as is known: it is looked again after the interval."""
    release = replace(released(record), settles_at=at + interval)
    changed = _with_release(record, release, at)
    return Reduction(replace(changed, next_deadline=at + interval))


def too_early(record: DeviceRecord, at: datetime) -> Reduction:
    """The second look comes when everything has had its time to settle."""
    return Reduction(replace(record, next_deadline=released(record).settles_at or at, updated_at=at))


def released_wholly(record: DeviceRecord, at: datetime) -> Reduction:
    """The second look found nothing of ours: the device is in, a fresh certificate is expected of it, and it is told.

    An old certificate may be the very reason why the device was shut out, so that a renewal is pursued; a device whose
    certificate has ended comes back through DPS by itself.
    """
    containment, release = contained(record), released(record)
    entry = _entry(record, reasons.HISTORY_ENABLED, at)
    data = {
        "actor": release.actor.name,
        "actorObjectId": release.actor.object_id,
        "reason": release.reason,
        **{place: release.outcomes.get(place) for place in ("identity", "enrollment", "registry")},
    }
    occasion = f"{containment.requested_at.isoformat()}/{release.requested_at.isoformat()}"
    alert = device_alert(AlertType.DEVICE_ENABLED, record.device_id, occasion, at, data)
    changed = telling(_expecting(record, release, at), alert)
    return Reduction(replace(changed, dispatch_by=at + DISPATCH_PATIENCE), (entry,))


def released(record: DeviceRecord) -> Release:
    """The release under way. Raises: ValueError where there is none."""
    release = contained(record).release
    if release is None:
        raise ValueError(f"{record.device_id} is not being let in")
    return release


def _expecting(record: DeviceRecord, release: Release, at: datetime) -> DeviceRecord:
    free = replace(record, containment=None, blocked_attempt_alerted_at=None, updated_at=at)
    if record.state is State.RETIRED:
        return replace(free, next_deadline=None)
    if record.certificate is None:
        first = at + FIRST_LOOK
        return replace(free, state=State.UNKNOWN, reason=reasons.NO_CERTIFICATE, look_at=first, next_deadline=first)
    request = RenewalRequest(actor=release.actor, reason=f"enabled: {release.reason}", requested_at=at)
    return replace(
        free,
        state=State.DUE,
        reason=reasons.FRESH_CERTIFICATE_EXPECTED,
        renewal_request=request,
        next_deadline=at,
    )


def _restored(record: DeviceRecord, release: Release, place: str, outcome: str, kind: str, at: datetime) -> Reduction:
    noted = replace(release, outcomes={**release.outcomes, place: outcome})
    changed = _with_release(record, noted, at)
    return Reduction(changed, (_entry(changed, kind, at, {"outcome": outcome}),))


def _with_release(record: DeviceRecord, release: Release, at: datetime) -> DeviceRecord:
    return replace(record, containment=replace(contained(record), release=release), updated_at=at)


def _entry(record: DeviceRecord, kind: str, at: datetime, details: Mapping[str, str] | None = None) -> HistoryEntry:
    release = released(record)
    told = {"took": took(release.requested_at, at)} if at > release.requested_at else {}
    return HistoryEntry(
        event_id=f"{kind}/{release.requested_at.isoformat()}/{record.incarnation}",
        at=at,
        kind=kind,
        actor=release.actor,
        reason=release.reason,
        details={**told, **(details or {})},
    )
