"""How DPS's registration log changes a record. It says that a device registered, never that it got a certificate."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

from shared.contracts import AlertType, format_instant
from shared.domain import reasons
from shared.domain.alerts import device_alert
from shared.domain.changes import Policies, Reduction, entry_of, new_record, telling
from shared.domain.containing import ONE_ALERT_IN, Sighting, reappeared, took, was_refused
from shared.domain.events import DeviceRegistered, RegistrationFailed
from shared.domain.record import Certificate, DeviceRecord, Evidence, State

EARLY_LOOK: Final = timedelta(minutes=1)
"""How long after a registration the twin is read, unless the device reported by then."""


def registered(record: DeviceRecord | None, event: DeviceRegistered, policies: Policies) -> Reduction | None:
    """An empty record becomes provisional; elsewhere the registration asks for one early look at the twin."""
    if record is not None and record.registration_seen_at is not None and event.at <= record.registration_seen_at:
        return None
    entry = entry_of(event, reasons.HISTORY_REGISTERED)
    if record is not None and (again := reappeared(record, Sighting.REGISTERED, event.attempted_at, event.enqueued_at)):
        return Reduction(replace(again.record, registration_seen_at=event.at), (entry, *again.history))
    if record is None or (record.certificate is None and record.containment is None and record.state is State.UNKNOWN):
        return Reduction(_provisional(record or new_record(event, ""), event, policies), (entry,))
    noted = replace(record, registration_seen_at=event.at)
    rests = record.containment is not None or record.state is State.RETIRED
    if not rests and record.certificate is not None and record.certificate.first_seen < event.at:
        noted = replace(noted, look_at=record.look_at or event.at + EARLY_LOOK)
    return Reduction(noted, (entry,))


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


def _provisional(record: DeviceRecord, event: DeviceRegistered, policies: Policies) -> DeviceRecord:
    """Registered, and perhaps issued: a certificate is inferred, to be replaced by whatever the device reports."""
    certificate = Certificate(
        identity=f"registration/{format_instant(event.at)}",
        valid_from=event.at,
        valid_until=event.at + policies.belief.validity,
        evidence=Evidence.INFERRED,
        first_seen=event.at,
    )
    return replace(
        record,
        state=State.PROVISIONAL,
        reason=reasons.REGISTERED,
        certificate=certificate,
        registration_seen_at=event.at,
        updated_at=max(record.updated_at, event.enqueued_at),
        look_at=event.at + EARLY_LOOK,
        next_deadline=policies.renewal.due_at(certificate, record.device_id),
    )
