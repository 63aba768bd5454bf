"""How an event changes a record. Pure and idempotent: replays and late arrivals change nothing.

Events of one device are ordered by (incarnation, `$version`), never by a device's own claims. An incarnation is one
life of the device id in one hub.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from shared.contracts import AlertType, format_instant
from shared.domain import reasons
from shared.domain.alerts import Alert, device_alert
from shared.domain.believing import Belief, believe, merge
from shared.domain.events import (
    Claim,
    DeviceRegistered,
    DomainEvent,
    HeardEvent,
    IdentityCreated,
    IdentityDeleted,
    RegistrationFailed,
    TwinReported,
    TwinUnclear,
)
from shared.domain.history import HistoryEntry
from shared.domain.policy import BeliefPolicy, RenewalPolicy
from shared.domain.record import Certificate, DeviceRecord, Evidence, OnboardingCredential, State

EARLY_LOOK: Final = timedelta(minutes=1)
"""How long after a registration the twin is read, unless the device reported by then."""
UNKNOWN_PATIENCE: Final = timedelta(hours=1)
"""How long a new identity may be silent before its twin is read."""


@dataclass(frozen=True, slots=True)
class Policies:
    """What recording is ruled by."""

    renewal: RenewalPolicy = field(default_factory=RenewalPolicy)
    belief: BeliefPolicy = field(default_factory=BeliefPolicy)


@dataclass(frozen=True, slots=True)
class Reduction:
    """A changed record and what its history gains."""

    record: DeviceRecord
    history: tuple[HistoryEntry, ...] = ()


def reduce(record: DeviceRecord | None, event: DomainEvent, policies: Policies) -> Reduction | None:
    """The record after the event, or None where the event changes nothing.

    Raises: BadEvent where the event's content cannot be believed at all.
    """
    reduction = _reduce(record, event, policies)
    return reduction and replace(reduction, record=_with_a_deadline(reduction.record, event))


def _reduce(record: DeviceRecord | None, event: DomainEvent, policies: Policies) -> Reduction | None:
    match event:
        case TwinReported():
            return _twin_reported(record, event, policies)
        case IdentityCreated():
            return _identity_created(record, event)
        case IdentityDeleted():
            return _identity_deleted(record, event)
        case DeviceRegistered():
            return _registered(record, event, policies)
        case RegistrationFailed():
            return _registration_failed(record, event)
        case TwinUnclear():
            raise TypeError(f"{event!r} must be resolved by reading the twin before it is reduced")


def _with_a_deadline(record: DeviceRecord, event: HeardEvent) -> DeviceRecord:
    """A record without a deadline would never be looked at again: only the retired and the contained may rest."""
    rests = record.state is State.RETIRED or (record.containment is not None and record.containment.is_verified)
    if rests or record.next_deadline is not None:
        return record
    return replace(record, next_deadline=event.enqueued_at + UNKNOWN_PATIENCE)


def _twin_reported(record: DeviceRecord | None, event: TwinReported, policies: Policies) -> Reduction | None:
    if record is None:
        record = _new_record(event, event.hub)
    current = _in_its_incarnation(record, event)
    if current is None:
        return None
    current = replace(
        current,
        version=event.version,
        twin_updated_at=event.updated_at,
        updated_at=max(current.updated_at, event.enqueued_at),
        look_at=None,
        onboarding=_onboarding(current, event),
    )
    if event.certificate is not None:
        return _certificate_reported(current, event, event.certificate, policies)
    if event.removed and current.certificate is not None and current.certificate.evidence is not Evidence.INFERRED:
        # The known certificate and its deadline stay: a device must not talk itself out of renewal.
        return Reduction(current, (_entry(event, reasons.HISTORY_REMOVED),))
    return Reduction(current)


def _in_its_incarnation(record: DeviceRecord, event: TwinReported) -> DeviceRecord | None:
    """The record in the life that the event belongs to, or None where the event is old news."""
    known_at = record.twin_updated_at
    if known_at is not None and event.updated_at < known_at:
        return None
    if record.hub in ("", event.hub) and record.state is not State.RETIRED and event.version > record.version:
        return replace(record, hub=event.hub)
    if event.updated_at == known_at:
        return None
    return _next_life(record, event.hub)


def _next_life(record: DeviceRecord, hub: str) -> DeviceRecord:
    """The device id begins anew: what was known of the old life is history; containment outlives it."""
    contained = record.containment is not None
    return replace(
        record,
        hub=hub,
        incarnation=record.incarnation + 1,
        version=0,
        state=State.DISABLED if contained else State.UNKNOWN,
        reason=reasons.CONTAINING if contained else reasons.NO_CERTIFICATE,
        certificate=None,
        onboarding=None,
        command=None,
        attempts=0,
        renewal_request=None,
        alerted=(),
        next_deadline=None,
    )


def _certificate_reported(
    record: DeviceRecord, event: TwinReported, claim: Claim, policies: Policies
) -> Reduction | None:
    belief = believe(claim, record.registration_id, event.enqueued_at, policies.belief)
    known = record.certificate
    if known is not None and known.identity == belief.certificate.identity:
        return _same_certificate(record, event, known, belief, policies)
    if known is not None and not _is_newer(belief.certificate, known):
        # A certificate that began before the known one renews nothing.
        return _with_mismatch(Reduction(record), event, "an older certificate was reported")
    return _new_certificate(record, event, known, belief, policies)


def _is_newer(heard: Certificate, known: Certificate) -> bool:
    return known.evidence is Evidence.INFERRED or heard.valid_from >= known.valid_from


def _same_certificate(
    record: DeviceRecord, event: TwinReported, known: Certificate, belief: Belief, policies: Policies
) -> Reduction:
    merged = merge(known, belief.certificate)
    mismatch = belief.mismatch or merged.mismatch
    if merged.certificate == known and mismatch is None:
        return Reduction(record)
    changed = replace(record, certificate=merged.certificate)
    if merged.certificate.valid_until != known.valid_until and changed.command is None:
        changed = replace(changed, next_deadline=policies.renewal.due_at(merged.certificate, record.device_id))
    reduction = Reduction(changed, (_certificate_entry(event, reasons.HISTORY_CONFIRMED, merged.certificate, known),))
    return _with_mismatch(reduction, event, mismatch)


def _new_certificate(
    record: DeviceRecord, event: TwinReported, known: Certificate | None, belief: Belief, policies: Policies
) -> Reduction:
    certificate = belief.certificate
    renewed = known is not None and known.evidence is not Evidence.INFERRED
    changed = replace(
        record,
        certificate=certificate,
        command=None,
        attempts=0,
        renewal_request=None,
        alerted=(),
    )
    if record.containment is None:
        changed = replace(
            changed,
            state=State.VALID,
            reason=reasons.CERTIFICATE_CURRENT,
            next_deadline=policies.renewal.due_at(certificate, record.device_id),
        )
    kind = AlertType.CERTIFICATE_RENEWED if renewed else AlertType.CERTIFICATE_ISSUED
    history = reasons.HISTORY_RENEWED if renewed else reasons.HISTORY_ISSUED
    alert = device_alert(kind, record.device_id, certificate.identity, event.enqueued_at, describe(certificate))
    reduction = Reduction(_telling(changed, alert), (_certificate_entry(event, history, certificate, known),))
    return _with_mismatch(reduction, event, belief.mismatch)


def _with_mismatch(reduction: Reduction, event: TwinReported, mismatch: str | None) -> Reduction:
    """The contradiction goes into the history each time, and to operators once per certificate."""
    if mismatch is None:
        return reduction
    entry = replace(_entry(event, reasons.HISTORY_MISMATCH), details={"mismatch": mismatch})
    record, history = reduction.record, (*reduction.history, entry)
    if AlertType.CERTIFICATE_EVIDENCE_MISMATCH in record.alerted:
        return Reduction(record, history)
    occasion = record.certificate.identity if record.certificate else event.event_id
    data = {**describe(record.certificate), "mismatch": mismatch}
    alert = device_alert(AlertType.CERTIFICATE_EVIDENCE_MISMATCH, record.device_id, occasion, event.enqueued_at, data)
    told = replace(record, alerted=(*record.alerted, AlertType.CERTIFICATE_EVIDENCE_MISMATCH))
    return Reduction(_telling(told, alert), history)


def _identity_created(record: DeviceRecord | None, event: IdentityCreated) -> Reduction | None:
    if record is None:
        created = replace(_new_record(event, event.hub), incarnation_since=event.at)
        return Reduction(created, (_entry(event, reasons.HISTORY_CREATED),))
    if record.incarnation_since is not None and event.at <= record.incarnation_since:
        return None
    if record.twin_updated_at is None and record.state is not State.RETIRED:
        return Reduction(replace(record, incarnation_since=event.at), (_entry(event, reasons.HISTORY_CREATED),))
    if record.twin_updated_at is not None and event.at <= record.twin_updated_at:
        return None  # the creation of the life that is already known, arriving late
    created = replace(_next_life(record, event.hub), incarnation_since=event.at)
    return Reduction(created, (_entry(event, reasons.HISTORY_CREATED),))


def _identity_deleted(record: DeviceRecord | None, event: IdentityDeleted) -> Reduction | None:
    if record is None or record.state is State.RETIRED or record.hub != event.hub:
        return None  # a device that moved to another hub is deleted in the old one, and lives on
    latest = max((i for i in (record.twin_updated_at, record.incarnation_since) if i is not None), default=event.at)
    if event.at < latest:
        return None
    retired = replace(
        record,
        state=State.RETIRED,
        reason=reasons.IDENTITY_DELETED,
        twin_updated_at=event.at,
        updated_at=event.enqueued_at,
        command=None,
        renewal_request=None,
        look_at=None,
        next_deadline=None,
    )
    return Reduction(retired, (_entry(event, reasons.HISTORY_DELETED),))


def _registered(record: DeviceRecord | None, event: DeviceRegistered, policies: Policies) -> Reduction | None:
    if record is not None and record.registration_seen_at is not None and event.at <= record.registration_seen_at:
        return None
    entry = _entry(event, reasons.HISTORY_REGISTERED)
    if record is None or (record.certificate is None and record.containment is None and record.state is State.UNKNOWN):
        return Reduction(_provisional(record or _new_record(event, ""), event, policies), (entry,))
    noted = replace(record, registration_seen_at=event.at)
    if record.certificate is not None and record.certificate.first_seen < event.at:
        noted = replace(noted, look_at=record.look_at or event.at + EARLY_LOOK)
    return Reduction(noted, (entry,))


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


def _registration_failed(record: DeviceRecord | None, event: RegistrationFailed) -> Reduction | None:
    """Failures of strangers are not recorded: the id scope is no secret, and the table must not fill with noise."""
    if record is None or record.containment is None or event.at < record.containment.requested_at:
        return None
    contained = replace(record, containment=replace(record.containment, refused_at=event.at))
    entry = replace(_entry(event, reasons.HISTORY_REFUSED), details={"result": event.result})
    if record.blocked_attempt_alerted_at and event.at - record.blocked_attempt_alerted_at < timedelta(hours=1):
        return Reduction(contained, (entry,))
    alert = device_alert(
        AlertType.DEVICE_BLOCKED_REGISTRATION_ATTEMPT,
        record.device_id,
        event.event_id,
        event.enqueued_at,
        {"result": event.result},
    )
    return Reduction(replace(_telling(contained, alert), blocked_attempt_alerted_at=event.at), (entry,))


def describe(certificate: Certificate | None) -> dict[str, str | None]:
    """A certificate in an alert or in the history."""
    if certificate is None:
        return {}
    return {
        "thumbprint": certificate.thumbprint,
        "validFrom": format_instant(certificate.valid_from),
        "validUntil": format_instant(certificate.valid_until),
        "evidence": certificate.evidence.value,
    }


def _new_record(event: HeardEvent, hub: str) -> DeviceRecord:
    return DeviceRecord(
        device_id=event.device_id,
        registration_id=event.device_id,
        hub=hub,
        first_seen=event.enqueued_at,
        updated_at=event.enqueued_at,
        reason=reasons.NO_CERTIFICATE,
    )


def _onboarding(record: DeviceRecord, event: TwinReported) -> OnboardingCredential | None:
    claim = event.onboarding
    if claim is None:
        return record.onboarding
    return OnboardingCredential(thumbprint=claim.thumbprint, valid_until=claim.valid_until, pem=claim.pem)


def _telling(record: DeviceRecord, alert: Alert) -> DeviceRecord:
    return replace(record, pending=(*record.pending, alert))


def _entry(event: HeardEvent, kind: str) -> HistoryEntry:
    return HistoryEntry(event_id=event.event_id, at=event.enqueued_at, kind=kind)


def _certificate_entry(
    event: HeardEvent, kind: str, certificate: Certificate, before: Certificate | None
) -> HistoryEntry:
    details = {name: value for name, value in describe(certificate).items() if value is not None}
    if before is not None:
        details |= {f"before.{name}": value for name, value in describe(before).items() if value is not None}
    return replace(_entry(event, kind), details=details)
