"""Shutting a device out, step by step: what replaces revocation. Pure; each step's progress stays in the record."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.contracts import AlertType, format_instant
from shared.domain import reasons
from shared.domain.alerts import Alert, device_alert
from shared.domain.changes import Reduction
from shared.domain.history import HistoryEntry
from shared.domain.record import DISPATCH_PATIENCE, Actor, BlockState, Containment, DeviceRecord, State


class Step(StrEnum):
    """What is to be done next."""

    DISABLE_IDENTITY = "disable-identity"
    LOOK_AT_ENROLLMENT = "look-at-enrollment"
    BLOCK_REGISTRATION = "block-registration"
    RECHECK_IDENTITY = "recheck-identity"
    VERIFY = "verify"
    DONE = "done"


def next_step(containment: Containment) -> Step:
    """The first step that is not done. A registration in flight may rewrite the identity, hence the second look."""
    if containment.hub_disabled_at is None:
        return Step.DISABLE_IDENTITY
    if containment.block is None:
        return Step.LOOK_AT_ENROLLMENT if containment.enrollment_created is None else Step.BLOCK_REGISTRATION
    if containment.hub_rechecked_at is None:
        return Step.RECHECK_IDENTITY
    return Step.DONE if containment.is_verified else Step.VERIFY


def requested(
    record: DeviceRecord, actor: Actor, reason: str, onboarding_pem: str | None, at: datetime
) -> Reduction | None:
    """The intent, which wins every race from now on; None where the device is being shut out already."""
    if record.containment is not None:
        return None
    pem = onboarding_pem or (record.onboarding.pem if record.onboarding else None)
    contained = replace(
        record,
        state=State.DISABLED,
        reason=reasons.CONTAINING,
        containment=Containment(actor=actor, reason=reason, requested_at=at, onboarding_pem=pem),
        command=None,
        renewal_request=None,
        look_at=None,
        dispatch_by=at + DISPATCH_PATIENCE,
        next_deadline=at + DISPATCH_PATIENCE,
        updated_at=at,
    )
    return Reduction(contained, (_entry(contained, reasons.HISTORY_DISABLE_REQUESTED, at),))


def identity_disabled(record: DeviceRecord, at: datetime) -> Reduction:
    """The hub's identity is disabled, or the hub knows no such device."""
    return _progress(record, replace(_containment(record), hub_disabled_at=at), reasons.HISTORY_HUB_DISABLED, at)


def enrollment_looked_at(record: DeviceRecord, existed: bool, at: datetime) -> Reduction:
    """Whether an individual enrollment stood there before ours, noted first: `enable` must undo what we did alone."""
    containment = replace(_containment(record), enrollment_created=not existed)
    return Reduction(replace(record, containment=containment, updated_at=at))


def registration_blocked(record: DeviceRecord, block: BlockState, at: datetime) -> Reduction:
    """DPS holds a disabled individual enrollment for the device."""
    containment = replace(_containment(record), block=block)
    reduction = _progress(record, containment, reasons.HISTORY_DPS_BLOCKED, at)
    if block is BlockState.BLOCKED:
        return reduction
    alert = device_alert(
        AlertType.DEVICE_CONTAINMENT_UNVERIFIED,
        record.device_id,
        _occasion(record),
        at,
        {"block": block.value, "reason": "the device's onboarding credential is not known"},
    )
    return replace(reduction, record=_telling(reduction.record, alert, at))


def identity_rechecked(record: DeviceRecord, at: datetime) -> Reduction:
    """The identity is still disabled after the block: nothing in flight undid it. Operators are told."""
    containment = _containment(record)
    contained = replace(record, containment=replace(containment, hub_rechecked_at=at), updated_at=at)
    data = {
        "actor": containment.actor.name,
        "actorObjectId": containment.actor.object_id,
        "reason": containment.reason,
        "block": containment.block.value if containment.block else None,
    }
    alert = device_alert(AlertType.DEVICE_DISABLED, record.device_id, _occasion(record), at, data)
    return Reduction(_telling(contained, alert, at))


def looked(record: DeviceRecord, connected: bool, at: datetime, interval: timedelta) -> Reduction:
    """One look at the live connection. Two looks without one, `interval` apart, and the device is gone."""
    containment = _containment(record)
    if connected:
        return Reduction(_waiting(record, replace(containment, gone_since=None), at, interval))
    if containment.gone_since is None:
        return Reduction(_waiting(record, replace(containment, gone_since=at), at, interval))
    if at - containment.gone_since < interval:
        return Reduction(_waiting(record, containment, at, interval))
    return _verified(record, at, "two looks")


def disconnected(record: DeviceRecord, gone_at: datetime, at: datetime) -> Reduction:
    """The hub told at `at` or before that the connection ended at `gone_at`, after the intent: the device is gone."""
    return _verified(record, at, f"disconnect event of {format_instant(gone_at)}")


def _verified(record: DeviceRecord, at: datetime, evidence: str) -> Reduction:
    containment = _containment(record)
    took = f"{(at - containment.requested_at).total_seconds():.0f} s"
    reduction = _progress(record, replace(containment, disconnected_at=at), reasons.HISTORY_DISCONNECTED, at)
    rested = replace(reduction.record, reason=reasons.CONTAINED, next_deadline=None)
    entries = tuple(replace(entry, details={"took": took, "evidence": evidence}) for entry in reduction.history)
    return Reduction(rested, entries)


def _waiting(record: DeviceRecord, containment: Containment, at: datetime, interval: timedelta) -> DeviceRecord:
    return replace(record, containment=containment, next_deadline=at + interval, updated_at=at)


def _progress(record: DeviceRecord, containment: Containment, kind: str, at: datetime) -> Reduction:
    contained = replace(record, containment=containment, updated_at=at)
    return Reduction(contained, (_entry(contained, kind, at),))


def _containment(record: DeviceRecord) -> Containment:
    if record.containment is None:
        raise ValueError(f"{record.device_id} is not being shut out")
    return record.containment


def _occasion(record: DeviceRecord) -> str:
    return f"{_containment(record).requested_at.isoformat()}/{record.incarnation}"


def _telling(record: DeviceRecord, alert: Alert, at: datetime) -> DeviceRecord:
    return replace(record, pending=(*record.pending, alert), dispatch_by=at + DISPATCH_PATIENCE)


def _entry(record: DeviceRecord, kind: str, at: datetime) -> HistoryEntry:
    containment = _containment(record)
    return HistoryEntry(
        event_id=f"{kind}/{_occasion(record)}",
        at=at,
        kind=kind,
        actor=containment.actor,
        reason=containment.reason,
    )
