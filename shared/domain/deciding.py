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

from shared.contracts import format_instant
from shared.domain import reasons
from shared.domain.alerts import Alert
from shared.domain.circumstances import Circumstances
from shared.domain.containing import unproven
from shared.domain.escalating import escalate
from shared.domain.policy import RenewalPolicy
from shared.domain.record import Certificate, Command, DeviceRecord, Evidence, State
from shared.domain.verifying import REMINDED_AFTER

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


@dataclass(frozen=True, slots=True)
class Situation:
    """A device at one moment, and the rules it is measured by."""

    record: DeviceRecord
    now: datetime
    policy: RenewalPolicy
    circumstances: Circumstances

    @property
    def certificate(self) -> Certificate:
        """The certificate, which the first rules have made sure of."""
        if self.record.certificate is None:
            raise ValueError(f"{self.record.device_id}: the rules above speak for devices without a certificate")
        return self.record.certificate


type Rule = Callable[[Situation], Decision | None]


def decide(
    record: DeviceRecord, now: datetime, policy: RenewalPolicy, circumstances: Circumstances | None = None
) -> Decision:
    """What is to be done about the device now. Escalations are told whatever the rules decide."""
    situation = Situation(record, now, policy, circumstances or Circumstances())
    decision = next(d for rule in RULES if (d := rule(situation)) is not None)
    return _escalated(decision, situation)


def retired_devices_rest(situation: Situation) -> Decision | None:
    """The hub has no such identity any more."""
    record = situation.record
    if record.state is not State.RETIRED:
        return None
    return Decision(state=State.RETIRED, reason=record.reason, next_deadline=None)


def an_unconfirmed_dispatch_is_repeated(situation: Situation) -> Decision | None:
    """The outbox was written and nobody confirmed that it left: the same ids go out again."""
    record, now = situation.record, situation.now
    if record.dispatch_by is None or record.dispatch_by > now:
        return None
    return Decision(
        state=record.state,
        reason=record.reason,
        next_deadline=record.next_deadline,
        action=Action.REPEAT_DISPATCH,
        command=record.command,
    )


def containment_and_revocation_go_on(situation: Situation) -> Decision | None:
    """Steps are still to be taken, to shut the device out, to let it in, or to revoke its certificates."""
    record, now = situation.record, situation.now
    if not record.has_containment_work:
        return None
    return Decision(
        state=record.state,
        reason=record.reason,
        next_deadline=now + CONTAINMENT_PATIENCE,
        action=Action.CONTINUE_CONTAINMENT,
    )


def contained_devices_are_left_alone(situation: Situation) -> Decision | None:
    """A device that is shut out is asked for nothing. A block that nobody has proven is told again every day."""
    record, now = situation.record, situation.now
    if record.containment is None:
        return None
    if record.containment.is_proven:
        return Decision(state=State.DISABLED, reason=reasons.CONTAINED, next_deadline=None)
    is_due = record.next_deadline is not None and record.next_deadline <= now
    return Decision(
        state=State.DISABLED,
        reason=reasons.CONTAINED,
        next_deadline=now + REMINDED_AFTER if is_due else record.next_deadline,
        alerts=(unproven(record, now, format_instant(now)),) if is_due else (),
    )


def an_early_look_is_taken(situation: Situation) -> Decision | None:
    """The device registered and said nothing since, or was never heard: its twin may know."""
    record, now = situation.record, situation.now
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


def expired_devices_need_provisioning(situation: Situation) -> Decision | None:
    """IoT Hub refuses an expired certificate, so no command can arrive: the device must come back through DPS."""
    now = situation.now
    certificate = situation.certificate
    if now < certificate.valid_until:
        return None
    return Decision(state=State.EXPIRED, reason=reasons.CERTIFICATE_EXPIRED, next_deadline=now + DAILY)


def a_revoked_issuer_needs_provisioning(situation: Situation) -> Decision | None:
    """IoT Hub trusts the issuing CA no more: the device is off line, and comes back through DPS like an expired one."""
    if not situation.circumstances.has_revoked(situation.certificate):
        return None
    return Decision(state=State.EXPIRED, reason=reasons.ISSUER_REVOKED, next_deadline=situation.now + DAILY)


def a_revoked_certificate_needs_provisioning(situation: Situation) -> Decision | None:
    """It was revoked by name: the device comes back through DPS with its onboarding credential, or not at all."""
    revocation = situation.record.revocation
    if revocation is None or not revocation.covers(situation.certificate):
        return None
    return Decision(state=State.EXPIRED, reason=reasons.CERTIFICATE_REVOKED, next_deadline=situation.now + DAILY)


def a_command_in_flight_gets_its_time(situation: Situation) -> Decision | None:
    """One command at a time per certificate: its answer is waited for, and silence is an answer when patience ends."""
    record, now = situation.record, situation.now
    if record.command is None or record.command.patience_until <= now:
        return None
    return Decision(
        state=State.COMMANDED,
        reason=record.reason or reasons.COMMAND_IN_FLIGHT,
        next_deadline=record.command.patience_until,
        command=record.command,
    )


def an_operators_request_goes_first(situation: Situation) -> Decision | None:
    """Somebody asked for this device to be renewed now."""
    record = situation.record
    if record.renewal_request is None:
        return None
    return _send_command(situation, reasons.REQUESTED)


def a_rotated_issuer_is_left_behind(situation: Situation) -> Decision | None:
    """The issuing CA was replaced: its certificates are renewed while they are still trusted, at the fleet's pace."""
    if not situation.circumstances.has_rotated(situation.certificate):
        return None
    return _when_allowed(situation, reasons.ISSUER_ROTATED)


def the_window_is_open(situation: Situation) -> Decision | None:
    """The certificate has come into its renewal window, at this device's own place in it."""
    record, now, policy = situation.record, situation.now, situation.policy
    if now < policy.due_at(situation.certificate, record.device_id):
        return None
    return _when_allowed(situation, reasons.WINDOW_OPEN)


def a_current_certificate_waits_for_its_window(situation: Situation) -> Decision | None:
    """Nothing to do yet."""
    record, policy = situation.record, situation.policy
    certificate = situation.certificate
    provisional = certificate.evidence is Evidence.INFERRED
    return Decision(
        state=State.PROVISIONAL if provisional else State.VALID,
        reason=reasons.REGISTERED if provisional else reasons.CERTIFICATE_CURRENT,
        next_deadline=policy.due_at(certificate, record.device_id),
    )


RULES: Final[tuple[Rule, ...]] = (
    an_unconfirmed_dispatch_is_repeated,
    containment_and_revocation_go_on,
    retired_devices_rest,
    contained_devices_are_left_alone,
    an_early_look_is_taken,
    expired_devices_need_provisioning,
    a_revoked_issuer_needs_provisioning,
    a_revoked_certificate_needs_provisioning,
    a_command_in_flight_gets_its_time,
    an_operators_request_goes_first,
    a_rotated_issuer_is_left_behind,
    the_window_is_open,
    a_current_certificate_waits_for_its_window,
)


def command_id(device_id: str, certificate: Certificate, attempt: int) -> str:
    """The id of the attempt: the same however often it is decided on."""
    return str(uuid.uuid5(_COMMANDS, f"{device_id}\n{certificate.identity}\n{attempt}"))


def _when_allowed(situation: Situation, reason: str) -> Decision:
    """Sends now, unless a pause holds the device or no maintenance window is open; but never so late that it is lost.

    A pause holds until the certificate is critical. Where no window opens before that, the command goes ahead at once.
    """
    now, circumstances = situation.now, situation.circumstances
    critical = situation.policy.escalates_at(situation.certificate)
    paused_until = circumstances.paused_until(situation.record, now)
    if paused_until is not None and now < critical:
        return Decision(state=State.DUE, reason=reasons.PAUSED, next_deadline=min(paused_until, critical))
    opening = circumstances.next_opening(now)
    if opening is not None and now < opening < critical:
        return Decision(state=State.DUE, reason=reasons.WAITS_FOR_WINDOW, next_deadline=opening)
    is_late = paused_until is not None or opening != now
    decision = _send_command(situation, reason)
    return replace(decision, reason=reasons.NO_TIME_TO_WAIT) if is_late else decision


def _send_command(situation: Situation, reason: str) -> Decision:
    record, now, policy = situation.record, situation.now, situation.policy
    certificate = situation.certificate
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


def _escalated(decision: Decision, situation: Situation) -> Decision:
    """The decision with the alerts that are due now, and no deadline beyond the next of them."""
    record, now = situation.record, situation.now
    if record.certificate is None or decision.state in (State.RETIRED, State.DISABLED):
        return decision
    escalation = escalate(record, now, situation.policy)
    instants = [i for i in (escalation.next_instant, decision.next_deadline) if i is not None]
    return replace(
        decision,
        state=_overdue(decision.state, record.certificate, now, situation.policy),
        next_deadline=min(instants, default=None),
        alerts=escalation.alerts,
        alerted=escalation.alerted,
    )


def _overdue(state: State, certificate: Certificate, now: datetime, policy: RenewalPolicy) -> State:
    asked = (State.DISPATCHING, State.COMMANDED, State.DUE)
    return State.OVERDUE if state in asked and now >= policy.warns_at(certificate) else state
