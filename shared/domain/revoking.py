"""Revoking a device's certificates in the ADR namespace, step by step. Pure.

Revoking makes every certificate worthless that was ever issued to the device; the device stays enabled, and comes back
through DPS with its onboarding credential (Azure docs: certificate policy management).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.contracts import AlertType
from shared.domain import reasons
from shared.domain.alerts import device_alert
from shared.domain.changes import Reduction, telling
from shared.domain.containing import took
from shared.domain.history import HistoryEntry
from shared.domain.record import DISPATCH_PATIENCE, Actor, DeviceRecord, Revocation, State


def revoke_requested(record: DeviceRecord, actor: Actor, reason: str, at: datetime) -> Reduction | None:
    """The intent; None where a revocation is under way."""
    if record.revocation is not None and record.revocation.has_work:
        return None
    identity = record.certificate.identity if record.certificate else ""
    revocation = Revocation(actor=actor, reason=reason, requested_at=at, certificate=identity)
    changed = replace(
        record,
        revocation=revocation,
        command=None,  # a renewal that was commanded before would be answered by a certificate that is revoked
        dispatch_by=at + DISPATCH_PATIENCE,
        next_deadline=at + DISPATCH_PATIENCE,
        updated_at=max(record.updated_at, at),
    )
    return Reduction(changed, (_entry(changed, reasons.HISTORY_REVOKE_REQUESTED, at),))


def was_heard(record: DeviceRecord, at: datetime) -> bool:
    """Whether a revocation that was asked for at `at` has been taken up: as its own, or in one that ended since.

    Such a request must not revoke again when it is repeated: a certificate that the device has got in between is good.
    """
    revocation = record.revocation
    return revocation is not None and (revocation.finished_at is None or revocation.finished_at >= at)


def revocation_accepted(record: DeviceRecord, monitor: str, at: datetime) -> Reduction:
    """ADR has begun. monitor: where it tells how its work stands."""
    return Reduction(replace(record, revocation=replace(revoked(record), monitor=monitor), updated_at=at))


def revocation_done(record: DeviceRecord, at: datetime) -> Reduction:
    """Every certificate that was issued until now is worthless, and operators are told."""
    changed = _finished(record, replace(revoked(record), revoked_at=at, finished_at=at), at)
    revocation = revoked(changed)
    data = {
        "actor": revocation.actor.name,
        "actorObjectId": revocation.actor.object_id,
        "reason": revocation.reason,
        "thumbprint": record.certificate.thumbprint if record.certificate else None,
    }
    alert = device_alert(AlertType.DEVICE_REVOKED, record.device_id, revocation.requested_at.isoformat(), at, data)
    return Reduction(telling(changed, alert), (_entry(changed, reasons.HISTORY_REVOKED, at),))


def revocation_failed(record: DeviceRecord, failure: str, at: datetime) -> Reduction:
    """ADR would not: the certificates are good, and operators are told. failure: ADR's words."""
    changed = _finished(record, replace(revoked(record), failure=failure, finished_at=at), at)
    data = {"reason": f"the certificates could not be revoked: {failure}"}
    occasion = f"revocation/{revoked(changed).requested_at.isoformat()}"
    alert = device_alert(AlertType.DEVICE_CONTAINMENT_UNVERIFIED, record.device_id, occasion, at, data)
    entry = replace(_entry(changed, reasons.HISTORY_REVOCATION_FAILED, at), details={"failure": failure})
    return Reduction(telling(changed, alert), (entry,))


def revoked(record: DeviceRecord) -> Revocation:
    """The record's revocation. Raises: ValueError where there is none."""
    if record.revocation is None:
        raise ValueError(f"the certificates of {record.device_id} are not being revoked")
    return record.revocation


def _finished(record: DeviceRecord, revocation: Revocation, at: datetime) -> DeviceRecord:
    rests = record.state is State.RETIRED
    return replace(
        record,
        revocation=revocation,
        dispatch_by=at + DISPATCH_PATIENCE,
        next_deadline=None if rests else at,
        updated_at=at,
    )


def _entry(record: DeviceRecord, kind: str, at: datetime) -> HistoryEntry:
    revocation = revoked(record)
    told = {"took": took(revocation.requested_at, at)} if at > revocation.requested_at else {}
    return HistoryEntry(
        event_id=f"{kind}/{revocation.requested_at.isoformat()}/{record.incarnation}",
        at=at,
        kind=kind,
        actor=revocation.actor,
        reason=revocation.reason,
        details=told,
    )
