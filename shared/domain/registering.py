"""How DPS's registration log changes a record. It says that a device registered, never that it got a certificate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from shared.contracts import AlertType, format_instant
from shared.domain import reasons
from shared.domain.alerts import device_alert
from shared.domain.changes import Policies, Reduction, entry_of, new_record, telling, without_a_certificate
from shared.domain.containing import took
from shared.domain.events import DeviceRegistered, RegistrationFailed
from shared.domain.record import Certificate, DeviceRecord, Evidence, State
from shared.domain.verifying import ONE_ALERT_IN, Sighting, reappeared, was_refused

EARLY_LOOK: Final = timedelta(minutes=1)
"""How long after a registration the twin is read, unless the device reported by then."""
BEFORE_CREATION: Final = timedelta(minutes=5)
"""How much earlier than its identity a registration may be logged: DPS logs it, and IoT Hub creates the identity."""
_MOST_REGISTRATIONS: Final = 8


def registered(record: DeviceRecord | None, event: DeviceRegistered) -> Reduction | None:
    """An empty record becomes provisional; elsewhere the registration asks for one early look at the twin."""
    known = record or new_record(event, "")
    seen_at = known.registration_seen_at
    noted = unanswered(replace(known, registrations=_newest((*known.registrations, event.at))))
    if seen_at is None or event.at > seen_at:
        noted = _with_a_look(replace(noted, registration_seen_at=event.at), event.at)
    if noted == record:
        return None
    entry = entry_of(event, reasons.HISTORY_REGISTERED)
    again = reappeared(noted, Sighting.REGISTERED, event.attempted_at, event.enqueued_at)
    return Reduction(again.record, (entry, *again.history)) if again else Reduction(noted, (entry,))


def unanswered(record: DeviceRecord) -> DeviceRecord:
    """The record without the registrations that its certificate came of: it was reported after them."""
    heard = record.certificate_heard
    if heard is None or not record.registrations:
        return record
    return replace(record, registrations=tuple(at for at in record.registrations if at > heard.at))


def inferred(record: DeviceRecord, policies: Policies) -> DeviceRecord:
    """A device that registered in its present life and reported nothing: a certificate is inferred from the first time.

    It is replaced by whatever the device reports, and goes where the registration turns out to be of a life before.
    """
    is_known = record.certificate is not None and record.certificate.evidence is not Evidence.INFERRED
    if is_known or record.containment is not None or record.state is State.RETIRED:
        return record
    if record.certificate is not None and not _is_of_this_life(record, record.certificate.valid_from):
        record = without_a_certificate(record)
    first = min((at for at in record.registrations if _is_of_this_life(record, at)), default=None)
    if first is None or (record.certificate is not None and record.certificate.valid_from <= first):
        return record
    return _provisional(record, first, policies)


def _is_of_this_life(record: DeviceRecord, at: datetime) -> bool:
    """A registration brings the identity into being, so it may be logged a little before that."""
    return record.incarnation_since is None or at > record.incarnation_since - BEFORE_CREATION


def _newest(registrations: Iterable[datetime]) -> tuple[datetime, ...]:
    return tuple(sorted(set(registrations))[-_MOST_REGISTRATIONS:])


def _with_a_look(record: DeviceRecord, at: datetime) -> DeviceRecord:
    rests = record.containment is not None or record.state is State.RETIRED
    if rests or record.certificate is None or record.certificate.first_seen >= at:
        return record
    return replace(record, look_at=record.look_at or at + EARLY_LOOK)


def registration_failed(record: DeviceRecord | None, event: RegistrationFailed) -> Reduction | None:
    """Failures of strangers are not recorded: the id scope is no secret, and the table must not fill with noise."""
    if record is None or record.containment is None or not was_refused(record.containment, event.attempted_at):
        return None
    contained = replace(record, containment=replace(record.containment, refused_at=event.attempted_at))
    details = {"result": event.result, "took": took(record.containment.requested_at, event.attempted_at)}
    entry = replace(entry_of(event, reasons.HISTORY_REFUSED), details=details)
    if record.blocked_attempt_alerted_at and event.at - record.blocked_attempt_alerted_at < ONE_ALERT_IN:
        return Reduction(contained, (entry,))
    alert = device_alert(
        AlertType.DEVICE_BLOCKED_REGISTRATION_ATTEMPT,
        record.device_id,
        event.event_id,
        event.enqueued_at,
        {"result": event.result},
    )
    return Reduction(replace(telling(contained, alert), blocked_attempt_alerted_at=event.at), (entry,))


def _provisional(record: DeviceRecord, at: datetime, policies: Policies) -> DeviceRecord:
    """Registered, and perhaps issued."""
    certificate = Certificate(
        identity=f"registration/{format_instant(at)}",
        valid_from=at,
        valid_until=at + policies.belief.validity,
        evidence=Evidence.INFERRED,
        first_seen=at,
    )
    due_at = policies.renewal.due_at(certificate, record.device_id)
    if record.certificate is not None and record.state is not State.PROVISIONAL:
        # It was inferred from a later registration, and what was begun for that goes on, perhaps sooner.
        return replace(record, certificate=certificate, next_deadline=min(due_at, record.next_deadline or due_at))
    return replace(
        record,
        state=State.PROVISIONAL,
        reason=reasons.REGISTERED,
        certificate=certificate,
        look_at=at + EARLY_LOOK,
        next_deadline=due_at,
    )
