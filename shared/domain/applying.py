"""What a record becomes when a decision is carried out, step by step. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain import escalating, reasons
from shared.domain.changes import Reduction
from shared.domain.deciding import Action, Decision
from shared.domain.history import HistoryEntry
from shared.domain.record import DISPATCH_PATIENCE, Actor, DeviceRecord, RenewalRequest, State

_LEVELS = {
    escalating.DUE: reasons.HISTORY_DUE,
    escalating.WARNING: reasons.HISTORY_OVERDUE,
    escalating.CRITICAL: reasons.HISTORY_OVERDUE,
    escalating.EXPIRED: reasons.HISTORY_EXPIRED,
    escalating.UNCONFIRMED: reasons.HISTORY_UNCONFIRMED,
}


def apply(record: DeviceRecord, decision: Decision, now: datetime) -> Reduction:
    """The record as the decision wants it, with its outbox set where something has to leave."""
    leaves = decision.alerts or decision.action in (Action.SEND_COMMAND, Action.REPEAT_DISPATCH)
    sends = decision.action is Action.SEND_COMMAND
    changed = replace(
        record,
        state=decision.state,
        reason=decision.reason,
        next_deadline=decision.next_deadline,
        command=decision.command,
        attempts=decision.command.attempt if sends and decision.command else record.attempts,
        alerted=(*record.alerted, *decision.alerted),
        pending=(*record.pending, *decision.alerts),
        dispatch_by=now + DISPATCH_PATIENCE if leaves else record.dispatch_by,
        updated_at=now,
    )
    return Reduction(changed, tuple(_entries(record, decision, now)))


def _entries(record: DeviceRecord, decision: Decision, now: datetime) -> list[HistoryEntry]:
    entries = []
    if decision.action is Action.SEND_COMMAND and decision.command is not None:
        command, request = decision.command, record.renewal_request
        entry = HistoryEntry(
            event_id=command.id,
            at=now,
            kind=reasons.HISTORY_COMMANDED,
            reason=request.reason if request else command.reason,
            details={"attempt": str(command.attempt), "state": decision.reason, **_operation_of(request)},
        )
        entries.append(replace(entry, actor=request.actor) if request else entry)
    identity = record.certificate.identity if record.certificate else ""
    if decision.reason == reasons.ISSUER_REVOKED != record.reason:  # not at each of the daily looks
        event_id = f"{identity}/{reasons.ISSUER_REVOKED}"
        entries.append(
            HistoryEntry(event_id=event_id, at=now, kind=reasons.HISTORY_ISSUER_REVOKED, reason=decision.reason)
        )
    entries.extend(
        HistoryEntry(event_id=f"{identity}/{level}", at=now, kind=_LEVELS[level], details={"level": level})
        for level in decision.alerted
        if level in _LEVELS
    )
    return entries


def postponed(record: DeviceRecord, decision: Decision, slot: datetime, now: datetime) -> Reduction:
    """A command over the budget waits for its slot; what else was decided, escalations above all, goes ahead."""
    if decision.action is Action.REPEAT_DISPATCH:
        return Reduction(replace(record, dispatch_by=slot, updated_at=now))
    waiting = replace(
        decision,
        state=State.OVERDUE if decision.state is State.OVERDUE else State.DUE,
        reason=reasons.OVER_BUDGET,
        action=None,
        command=None,
        next_deadline=min(slot, decision.next_deadline or slot),
    )
    return apply(record, waiting, now)


def delayed(record: DeviceRecord, decision: Decision, delay: timedelta) -> Decision:
    """The command waits in our queue for `delay`, and what is measured from its sending moves with it.

    It never outlives its certificate.
    """
    command, certificate = decision.command, record.certificate
    if command is None or certificate is None or not delay or decision.action is not Action.SEND_COMMAND:
        return decision
    later = replace(
        command,
        expires_at=min(command.expires_at + delay, certificate.valid_until),
        patience_until=command.patience_until + delay,
    )
    return replace(decision, command=later)


def confirmed(record: DeviceRecord, dispatched: DeviceRecord, told: Collection[str], is_queued: bool) -> DeviceRecord:
    """The record after the outbox of `dispatched`, an earlier state of it, was sent.

    told: the ids of the alerts that left. is_queued: its work reached the queues. What did not leave, and what came
    since, waits for the outbox's deadline.
    """
    pending = tuple(alert for alert in record.pending if alert.id not in told)
    is_done = is_queued and not pending and record.dispatch_by == dispatched.dispatch_by
    return replace(record, pending=pending, dispatch_by=None if is_done else record.dispatch_by)


def command_sent(record: DeviceRecord, at: datetime) -> Reduction:
    """IoT Hub took the command."""
    if record.command is None:
        return Reduction(record)
    state = State.OVERDUE if record.state is State.OVERDUE else State.COMMANDED
    changed = replace(
        record,
        command=replace(record.command, sent_at=at),
        state=state,
        reason=reasons.COMMAND_IN_FLIGHT,
        updated_at=at,
    )
    entry = HistoryEntry(event_id=record.command.id, at=at, kind=reasons.HISTORY_COMMAND_SENT)
    return Reduction(changed, (entry,))


def command_throttled(record: DeviceRecord, again_at: datetime, at: datetime) -> Reduction:
    """IoT Hub asked for patience: the same command leaves again at `again_at`."""
    return Reduction(
        replace(record, reason=reasons.COMMAND_THROTTLED, dispatch_by=again_at, updated_at=at),
    )


def command_refused(record: DeviceRecord, reason: str, at: datetime) -> Reduction:
    """IoT Hub would not take the command: the next attempt comes when patience with this one ends."""
    if record.command is None:
        return Reduction(record)
    entry = HistoryEntry(event_id=record.command.id, at=at, kind=reasons.HISTORY_COMMAND_REFUSED, reason=reason)
    command = replace(record.command, sent_at=at)
    return Reduction(replace(record, command=command, reason=reason, updated_at=at), (entry,))


def renewal_requested(
    record: DeviceRecord, actor: Actor, reason: str, at: datetime, operation_id: str = ""
) -> Reduction:
    """An operator wants this device renewed now, and one command follows the other until it is.

    Who asks again with the same words, since the first answer was lost, has asked once.
    """
    known = record.renewal_request
    if known is not None and (known.actor, known.reason, known.operation_id) == (actor, reason, operation_id):
        return Reduction(record)
    request = RenewalRequest(actor=actor, reason=reason, requested_at=at, operation_id=operation_id)
    entry = HistoryEntry(
        event_id=f"renew/{operation_id or at.isoformat()}",
        at=at,
        kind=reasons.HISTORY_RENEWAL_REQUESTED,
        actor=actor,
        reason=reason,
        details=_operation_of(request),
    )
    return Reduction(replace(record, renewal_request=request, next_deadline=at, updated_at=at), (entry,))


def _operation_of(request: RenewalRequest | None) -> dict[str, str]:
    return {"operation": request.operation_id} if request and request.operation_id else {}


def evaluation_failed(record: DeviceRecord, problem: str, at: datetime) -> Reduction:
    """A rule failed on this record: it is due again in an hour, so that no row can block a sweep."""
    changed = replace(
        record,
        reason=reasons.EVALUATION_FAILED,
        look_at=None,
        dispatch_by=at + timedelta(hours=1) if record.pending else None,
        next_deadline=at + timedelta(hours=1),
        updated_at=at,
    )
    entry = HistoryEntry(
        event_id=f"evaluation/{at.isoformat()}", at=at, kind=reasons.HISTORY_EVALUATION_FAILED, reason=problem
    )
    return Reduction(changed, (entry,))
