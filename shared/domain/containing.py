"""Shutting a device out, step by step: what replaces revocation. Pure; each step's progress stays in the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from shared.contracts import AlertType
from shared.domain import reasons
from shared.domain.alerts import Alert, device_alert
from shared.domain.changes import Reduction
from shared.domain.history import HistoryEntry
from shared.domain.record import DISPATCH_PATIENCE, Actor, Before, BlockState, Containment, DeviceRecord, State


class Step(StrEnum):
    """What is to be done next to shut a device out."""

    LOOK_AT_IDENTITY = "look-at-identity"
    DISABLE_IDENTITY = "disable-identity"
    LOOK_AT_ENROLLMENT = "look-at-enrollment"
    BLOCK_REGISTRATION = "block-registration"
    RECHECK_IDENTITY = "recheck-identity"
    PURGE_COMMANDS = "purge-commands"
    LOOK_AT_REGISTRY = "look-at-registry"
    DISABLE_IN_REGISTRY = "disable-in-registry"
    VERIFY = "verify"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done beside the hub and DPS. purges: the device's messages; registry: an ADR namespace is configured."""

    purges: bool = False
    registry: bool = False


def next_step(containment: Containment, plan: Plan) -> Step:
    """The first step that is not done. A registration in flight may rewrite the identity, hence the second look."""
    if containment.identity_before is None:
        return Step.LOOK_AT_IDENTITY
    if containment.hub_disabled_at is None:
        return Step.DISABLE_IDENTITY
    if containment.block is None:
        return Step.LOOK_AT_ENROLLMENT if containment.enrollment_before is None else Step.BLOCK_REGISTRATION
    if containment.hub_rechecked_at is None:
        return Step.RECHECK_IDENTITY
    if plan.purges and containment.purged_at is None:
        return Step.PURGE_COMMANDS
    if plan.registry and containment.registry_disabled_at is None:
        return Step.LOOK_AT_REGISTRY if containment.registry_before is None else Step.DISABLE_IN_REGISTRY
    return Step.DONE if containment.is_verified else Step.VERIFY


def requested(
    record: DeviceRecord, actor: Actor, reason: str, onboarding_pem: str | None, at: datetime, operation_id: str = ""
) -> Reduction | None:
    """The intent, which wins every race from now on, a release under way among them.

    A device that is being shut out already stays as it is, but for an onboarding certificate that was not known.
    """
    former = record.containment
    if former is not None and former.release is None:
        return _with_certificate(record, former, actor, reason, onboarding_pem, at)
    intent = Containment(
        actor=actor,
        reason=reason,
        requested_at=at,
        operation_id=operation_id,
        onboarding_pem=onboarding_pem,
        reported_pem=record.onboarding.pem if record.onboarding else None,
    )
    contained = replace(
        record,
        state=State.DISABLED,
        reason=reasons.CONTAINING,
        containment=_succeeding(intent, former) if former else intent,
        command=None,
        renewal_request=None,
        look_at=None,
        dispatch_by=at + DISPATCH_PATIENCE,
        next_deadline=at + DISPATCH_PATIENCE,
        updated_at=at,
    )
    return Reduction(contained, (_entry(contained, reasons.HISTORY_DISABLE_REQUESTED, at),))


def _succeeding(intent: Containment, former: Containment) -> Containment:
    """The intent after one whose release had begun: what has not been restored yet is still as it was before that."""
    release = former.release
    if release is None:
        raise ValueError("only a release under way is succeeded")
    kept = replace(intent, supersedes=True, onboarding_pem=intent.onboarding_pem or former.onboarding_pem)
    if release.identity_restored_at is None:
        kept = replace(
            kept, identity_before=former.identity_before, identity_reason_before=former.identity_reason_before
        )
    if release.enrollment_restored_at is None:
        kept = replace(kept, enrollment_before=former.enrollment_before, enrollment_etag=former.enrollment_etag)
    if release.registry_restored_at is None:
        kept = replace(kept, registry_before=former.registry_before)
    return kept


def _with_certificate(
    record: DeviceRecord, containment: Containment, actor: Actor, reason: str, pem: str | None, at: datetime
) -> Reduction | None:
    """The block is made again, by the certificate that was not known; the first actor and reason stay."""
    if pem is None or pem == containment.onboarding_pem or containment.block is BlockState.BLOCKED:
        return None
    blocking = replace(containment, onboarding_pem=pem, block=None, blocked_at=None)
    changed = replace(
        record,
        containment=blocking,
        dispatch_by=at + DISPATCH_PATIENCE,
        next_deadline=at + DISPATCH_PATIENCE,
        updated_at=at,
    )
    entry = HistoryEntry(
        event_id=f"{reasons.HISTORY_CREDENTIAL_GIVEN}/{at.isoformat()}",
        at=at,
        kind=reasons.HISTORY_CREDENTIAL_GIVEN,
        actor=actor,
        reason=reason,
    )
    return Reduction(changed, (entry,))


def identity_looked_at(record: DeviceRecord, before: Before, reason: str, at: datetime) -> Reduction:
    """What the identity was before it is disabled, with its own reason."""
    containment = replace(contained(record), identity_before=before, identity_reason_before=reason)
    return Reduction(replace(record, containment=containment, updated_at=at))


def identity_disabled(record: DeviceRecord, at: datetime) -> Reduction:
    """The hub's identity is disabled, or the hub knows no such device."""
    return progress(record, replace(contained(record), hub_disabled_at=at), reasons.HISTORY_HUB_DISABLED, at)


def enrollment_looked_at(record: DeviceRecord, before: Before, at: datetime) -> Reduction:
    """Whether an individual enrollment stood there before ours, and in which status."""
    containment = replace(contained(record), enrollment_before=before)
    return Reduction(replace(record, containment=containment, updated_at=at))


def registration_blocked(record: DeviceRecord, block: BlockState, etag: str, at: datetime) -> Reduction:
    """DPS holds a disabled individual enrollment for the device. etag: its version now."""
    containment = replace(contained(record), block=block, blocked_at=at, enrollment_etag=etag)
    details = {"block": block.value, "enrollment": (containment.enrollment_before or Before.ABSENT).value}
    reduction = progress(record, containment, reasons.HISTORY_DPS_BLOCKED, at, details)
    if block is BlockState.BLOCKED:
        return reduction
    return replace(reduction, record=told_of(reduction.record, unproven(record, at, ""), at))


def unproven(record: DeviceRecord, at: datetime, day: str) -> Alert:
    """The alert that nobody knows whether the block holds. day: it is told again on each."""
    passed = contained(record).passed_at is not None
    why = "it has registered in spite of the block" if passed else "the device's onboarding credential is not known"
    data = {"block": BlockState.BLOCKED_UNVERIFIED.value, "reason": why}
    kind = AlertType.DEVICE_CONTAINMENT_UNVERIFIED
    return device_alert(kind, record.device_id, f"{occasion(record)}{day and f'/{day}'}", at, data)


def identity_rechecked(record: DeviceRecord, at: datetime) -> Reduction:
    """The identity is still disabled after the block: nothing in flight undid it. Operators are told once."""
    containment = contained(record)
    rechecked = replace(containment, hub_rechecked_at=at, told_at=containment.told_at or at)
    changed = replace(record, containment=rechecked, updated_at=at)
    if containment.told_at is not None:
        return Reduction(changed)
    data = {
        "actor": containment.actor.name,
        "actorObjectId": containment.actor.object_id,
        "reason": containment.reason,
        "block": containment.block.value if containment.block else None,
        "operationId": containment.operation_id or None,
    }
    alert = device_alert(AlertType.DEVICE_DISABLED, record.device_id, occasion(record), at, data)
    return Reduction(told_of(changed, alert, at))


def commands_purged(record: DeviceRecord, count: int, at: datetime) -> Reduction:
    """The messages that waited for the device are gone, those of other back ends among them."""
    containment = replace(contained(record), purged_at=at)
    return progress(record, containment, reasons.HISTORY_COMMANDS_PURGED, at, {"messages": str(count)})


def registry_looked_at(record: DeviceRecord, before: Before, at: datetime) -> Reduction:
    """What the device was in the ADR namespace before it is disabled there."""
    return Reduction(replace(record, containment=replace(contained(record), registry_before=before), updated_at=at))


def registry_disabled(record: DeviceRecord, at: datetime) -> Reduction:
    """The device is disabled in the ADR namespace, or not in it."""
    containment = replace(contained(record), registry_disabled_at=at)
    details = {"before": (containment.registry_before or Before.ABSENT).value}
    return progress(record, containment, reasons.HISTORY_REGISTRY_DISABLED, at, details)


def contained(record: DeviceRecord) -> Containment:
    """The record's containment. Raises: ValueError where there is none."""
    if record.containment is None:
        raise ValueError(f"{record.device_id} is not being shut out")
    return record.containment


def occasion(record: DeviceRecord) -> str:
    """What tells this containment from others of the device."""
    return f"{contained(record).requested_at.isoformat()}/{record.incarnation}"


def took(since: datetime, at: datetime) -> str:
    """A duration for the history."""
    return f"{(at - since).total_seconds():.0f} s"


def progress(
    record: DeviceRecord,
    containment: Containment,
    kind: str,
    at: datetime,
    details: Mapping[str, str] | None = None,
) -> Reduction:
    """A step is done, and the history says so."""
    changed = replace(record, containment=containment, updated_at=at)
    return Reduction(changed, (_entry(changed, kind, at, details),))


def told_of(record: DeviceRecord, alert: Alert, at: datetime) -> DeviceRecord:
    """The record with an alert that has yet to leave, and the deadline by which it has left."""
    return replace(record, pending=(*record.pending, alert), dispatch_by=at + DISPATCH_PATIENCE)


def _entry(record: DeviceRecord, kind: str, at: datetime, details: Mapping[str, str] | None = None) -> HistoryEntry:
    containment = contained(record)
    told = {"took": took(containment.requested_at, at)} if at > containment.requested_at else {}
    operation = {"operation": containment.operation_id} if containment.operation_id else {}
    return HistoryEntry(
        event_id=f"{kind}/{occasion(record)}",
        at=at,
        kind=kind,
        actor=containment.actor,
        reason=containment.reason,
        details={**told, **operation, **(details or {})},
    )
