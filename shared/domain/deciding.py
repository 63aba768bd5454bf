"""What is to be done about a device now: one ordered chain of small rules; the first that speaks decides.

No clock, no I/O: the same record, instant and policy give the same decision.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from shared.contracts import AlertType
from shared.domain import reasons
from shared.domain.alerts import Alert, device_alert
from shared.domain.changes import describe
from shared.domain.policy import RenewalPolicy
from shared.domain.record import Certificate, Command, DeviceRecord, Evidence, State

DAILY: Final = timedelta(days=1)
CONTAINMENT_PATIENCE: Final = timedelta(minutes=2)
_COMMANDS: Final = uuid.UUID("0c9a6d5e-7a35-5b0f-8d3a-3d1b1f6f2a10")


class Action(StrEnum):
    """What the services do after the record is written."""

    SEND_COMMAND = "send-command"
    REPEAT_DISPATCH = "repeat-dispatch"
    LOOK_AT_TWIN = "look-at-twin"
    CONTINUE_CONTAINMENT = "continue-containment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a device is to be, do and be asked; `next_deadline` None lets it rest. `alerts` are new."""

    state: State
    reason: str
    next_deadline: datetime | None
    action: Action | None = None
    command: Command | None = None
    alerts: tuple[Alert, ...] = ()
    alerted: tuple[str, ...] = ()


type Rule = Callable[[DeviceRecord, datetime, RenewalPolicy], Decision | None]


def decide(record: DeviceRecord, now: datetime, policy: RenewalPolicy) -> Decision:
    """What is to be done about the device now. Escalations are told whatever the rules decide."""
    decision = next(d for rule in RULES if (d := rule(record, now, policy)) is not None)
    return _escalated(record, decision, now, policy)


def retired_devices_rest(record: DeviceRecord, now: datetime, policy: RenewalPolicy) -> Decision | None:
    """The hub has no such identity any more."""
    if record.state is not State.RETIRED:
        return None
    return Decision(state=State.RETIRED, reason=record.reason, next_deadline=None)


def an_unconfirmed_dispatch_is_repeated(record: DeviceRecord, now: datetime, policy: RenewalPolicy) -> Decision | None:
    """The outbox was written and nobody confirmed that it left: the same ids go out again."""
    if record.dispatch_by is None or record.dispatch_by > now:
        return None
    return Decision(
        state=record.state,
        reason=record.reason,
        next_deadline=record.next_deadline,
        action=Action.REPEAT_DISPATCH,
        command=record.command,
    )


def contained_devices_are_left_alone(record: DeviceRecord, now: datetime, policy: RenewalPolicy) -> Decision | None:
    """A device that is shut out is not asked to renew; its containment goes on until it is verified."""
    if record.containment is None:
        return None
    if record.containment.is_verified:
        return Decision(state=State.DISABLED, reason=reasons.CONTAINED, next_deadline=None)
    return Decision(
        state=State.DISABLED,
        reason=reasons.CONTAINING,
        next_deadline=now + CONTAINMENT_PATIENCE,
        action=Action.CONTINUE_CONTAINMENT,
    )


def an_early_look_is_taken(record: DeviceRecord, now: datetime, policy: RenewalPolicy) -> Decision | None:
    """The device registered and said nothing since, or was never heard: its twin may know."""
    never_heard = record.certificate is None
    if not never_heard and (record.look_at is None or record.look_at > now):
        return None
    return Decision(
        state=record.state,
        reason=record.reason,
        next_deadline=now + DAILY if never_heard else record.next_deadline,
        action=Action.LOOK_AT_TWIN,
        command=record.command,
    )


def expired_devices_need_provisioning(record: DeviceRecord, now: datetime, policy: RenewalPolicy) -> Decision | None:
    """IoT Hub refuses an expired certificate, so no command can arrive: the device must come back through DPS."""
    certificate = _known(record)
    if now < certificate.valid_until:
        return None
    return Decision(state=State.EXPIRED, reason=reasons.CERTIFICATE_EXPIRED, next_deadline=now + DAILY)


def a_command_in_flight_gets_its_time(record: DeviceRecord, now: datetime, policy: RenewalPolicy) -> Decision | None:
    """One command at a time per certificate: its answer is waited for, and silence is an answer when patience ends."""
    if record.command is None or record.command.patience_until <= now:
        return None
    return Decision(
        state=State.COMMANDED,
        reason=record.reason or reasons.COMMAND_IN_FLIGHT,
        next_deadline=record.command.patience_until,
        command=record.command,
    )


def an_operators_request_goes_first(record: DeviceRecord, now: datetime, policy: RenewalPolicy) -> Decision | None:
    """Somebody asked for this device to be renewed now."""
    if record.renewal_request is None:
        return None
    return _send_command(record, now, policy, reasons.REQUESTED)


def the_window_is_open(record: DeviceRecord, now: datetime, policy: RenewalPolicy) -> Decision | None:
    """The certificate has come into its renewal window, at this device's own place in it."""
    if now < policy.due_at(_known(record), record.device_id):
        return None
    return _send_command(record, now, policy, reasons.WINDOW_OPEN)


def a_current_certificate_waits_for_its_window(
    record: DeviceRecord, now: datetime, policy: RenewalPolicy
) -> Decision | None:
    """Nothing to do yet."""
    certificate = _known(record)
    provisional = certificate.evidence is Evidence.INFERRED
    return Decision(
        state=State.PROVISIONAL if provisional else State.VALID,
        reason=reasons.REGISTERED if provisional else reasons.CERTIFICATE_CURRENT,
        next_deadline=policy.due_at(certificate, record.device_id),
    )


RULES: Final[tuple[Rule, ...]] = (
    retired_devices_rest,
    an_unconfirmed_dispatch_is_repeated,
    contained_devices_are_left_alone,
    an_early_look_is_taken,
    expired_devices_need_provisioning,
    a_command_in_flight_gets_its_time,
    an_operators_request_goes_first,
    the_window_is_open,
    a_current_certificate_waits_for_its_window,
)


def command_id(device_id: str, certificate: Certificate, attempt: int) -> str:
    """The id of the attempt: the same however often it is decided on."""
    return str(uuid.uuid5(_COMMANDS, f"{device_id}\n{certificate.identity}\n{attempt}"))


def _send_command(record: DeviceRecord, now: datetime, policy: RenewalPolicy, reason: str) -> Decision:
    certificate = _known(record)
    attempt = record.attempts + 1
    command = Command(
        id=command_id(record.device_id, certificate, attempt),
        attempt=attempt,
        reason=reason,
        expires_at=min(now + policy.command_life(certificate), certificate.valid_until),
        patience_until=now + policy.patience(certificate, attempt),
    )
    return Decision(
        state=State.DISPATCHING,
        reason=reasons.COMMAND_QUEUED,
        next_deadline=min(command.patience_until, certificate.valid_until),
        action=Action.SEND_COMMAND,
        command=command,
    )


def _escalated(record: DeviceRecord, decision: Decision, now: datetime, policy: RenewalPolicy) -> Decision:
    """The decision with the alerts that the certificate's end calls for, and no deadline beyond the next of them."""
    certificate = record.certificate
    if certificate is None or decision.state in (State.RETIRED, State.DISABLED):
        return decision
    steps = _escalations(certificate, policy)
    passed = [(level, kind) for at, level, kind in steps if at <= now and level not in record.alerted]
    ahead = [at for at, _, _ in steps if at > now]
    return replace(
        decision,
        state=_overdue(decision.state, certificate, now, policy),
        next_deadline=min([*ahead, decision.next_deadline or certificate.valid_until]),
        alerts=tuple(_escalation(record, certificate, level, kind, now) for level, kind in passed[-1:]),
        alerted=tuple(level for level, _ in passed),
    )


def _escalations(certificate: Certificate, policy: RenewalPolicy) -> list[tuple[datetime, str, str]]:
    return [
        (policy.warns_at(certificate), "warning", AlertType.CERTIFICATE_RENEWAL_OVERDUE),
        (policy.escalates_at(certificate), "critical", AlertType.CERTIFICATE_RENEWAL_OVERDUE),
        (certificate.valid_until, "expired", AlertType.CERTIFICATE_EXPIRED),
    ]


def _escalation(record: DeviceRecord, certificate: Certificate, level: str, kind: str, now: datetime) -> Alert:
    data = {**describe(certificate), "level": level, "attempts": str(record.attempts)}
    return device_alert(kind, record.device_id, f"{certificate.identity}/{level}", now, data)


def _overdue(state: State, certificate: Certificate, now: datetime, policy: RenewalPolicy) -> State:
    asked = (State.DISPATCHING, State.COMMANDED, State.DUE)
    return State.OVERDUE if state in asked and now >= policy.warns_at(certificate) else state


def _known(record: DeviceRecord) -> Certificate:
    if record.certificate is None:
        raise ValueError(f"{record.device_id}: the rules above speak for devices without a certificate")
    return record.certificate
