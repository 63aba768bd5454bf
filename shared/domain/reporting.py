"""How a twin changes a record: certificates reported, renewed, removed, contradicted.

Twins of one device are ordered by (incarnation, `$version`) and the service's own times, never by a device's claims. An
incarnation is one life of the device id in one hub.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.contracts import AlertType
from shared.domain import reasons
from shared.domain.alerts import device_alert
from shared.domain.believing import Belief, believe, merge
from shared.domain.changes import Policies, Reduction, describe, entry_of, known_until, new_record, next_life, telling
from shared.domain.events import Claim, HeardEvent, TwinReported
from shared.domain.history import HistoryEntry
from shared.domain.onboarding_watch import levels_that_outlive_a_certificate
from shared.domain.record import Certificate, DeviceRecord, Evidence, Heard, OnboardingCredential, State


def twin_reported(record: DeviceRecord | None, event: TwinReported, policies: Policies) -> Reduction | None:
    """The record after a twin was reported or read. Raises: BadEvent where the claim cannot be believed at all.

    A report that comes late still tells of what no later one has spoken of.
    """
    if record is None:
        record = new_record(event, event.hub)
    current = _in_its_incarnation(record, event)
    if current is None:
        return None
    is_late = event.version < current.version
    if not is_late:
        current = replace(
            current,
            version=event.version,
            twin_updated_at=event.updated_at,
            updated_at=max(current.updated_at, event.enqueued_at),
            look_at=_look_still_wanted(current, event),
        )
    current = _with_onboarding(current, event)
    reduction = _with_certificate(current, event, policies)
    return None if is_late and reduction.record == record else reduction


def _with_certificate(record: DeviceRecord, event: TwinReported, policies: Policies) -> Reduction:
    if event.certificate is not None:
        return _certificate_reported(record, event, event.certificate, policies)
    certificate = record.certificate
    is_removed = event.removed and certificate is not None and certificate.evidence is not Evidence.INFERRED
    if is_removed and event.version >= record.version:
        # The known certificate and its deadline stay: a device must not talk itself out of renewal.
        return Reduction(record, (entry_of(event, reasons.HISTORY_REMOVED),))
    return Reduction(record)


def _look_still_wanted(record: DeviceRecord, event: TwinReported) -> datetime | None:
    """A report from before the registration does not answer it."""
    seen = record.registration_seen_at
    return record.look_at if seen is not None and event.updated_at < seen else None


def _in_its_incarnation(record: DeviceRecord, event: TwinReported) -> DeviceRecord | None:
    """The record in the life that the event belongs to, or None where the event is old news."""
    is_alive_there = record.hub in ("", event.hub) and record.state is not State.RETIRED
    if is_alive_there and _is_of_this_life(record, event):
        return replace(record, hub=event.hub)
    known_at = known_until(record, event.hub)
    if known_at is not None and event.updated_at <= known_at:
        return None
    return next_life(record, event.hub)


def _is_of_this_life(record: DeviceRecord, event: TwinReported) -> bool:
    """Whether versions and the service's times rise together; where they do not, one of them is of another life."""
    if record.incarnation_since is not None and event.updated_at < record.incarnation_since:
        return False
    if record.twin_updated_at is None or event.updated_at == record.twin_updated_at:
        return event.version > record.version
    return (event.version > record.version) == (event.updated_at > record.twin_updated_at) and (
        event.version != record.version
    )


def _with_onboarding(record: DeviceRecord, event: TwinReported) -> DeviceRecord:
    claim = event.onboarding
    if claim is None or (record.onboarding_heard is not None and event.version < record.onboarding_heard.version):
        return record
    return replace(
        record,
        onboarding=OnboardingCredential(thumbprint=claim.thumbprint, valid_until=claim.valid_until, pem=claim.pem),
        onboarding_heard=Heard(version=event.version, at=event.updated_at),
    )


def _certificate_reported(record: DeviceRecord, event: TwinReported, claim: Claim, policies: Policies) -> Reduction:
    belief = believe(claim, record.registration_id, event.enqueued_at, policies.belief)
    known = record.certificate
    if known is not None and known.identity == belief.certificate.identity:
        return _same_certificate(record, event, known, belief, policies)
    if known is not None and not _is_newer(belief.certificate, record, event):
        # A certificate that began before the known one renews nothing.
        mismatch = "an older certificate was reported" if event.version >= record.version else None
        return _with_mismatch(Reduction(record), event, mismatch)
    return _new_certificate(record, event, known, belief, policies)


def _is_newer(heard: Certificate, record: DeviceRecord, event: TwinReported) -> bool:
    """Which certificate began later decides, and of equals the report, in whatever order they are heard."""
    known, known_by = record.certificate, record.certificate_heard
    if known is None or known.evidence is Evidence.INFERRED or known_by is None:
        return known is None or known.evidence is Evidence.INFERRED or heard.valid_from >= known.valid_from
    return (heard.valid_from, event.version) >= (known.valid_from, known_by.version)


def _same_certificate(
    record: DeviceRecord, event: TwinReported, known: Certificate, belief: Belief, policies: Policies
) -> Reduction:
    merged = merge(known, belief.certificate)
    mismatch = belief.mismatch or merged.mismatch
    record = replace(record, certificate_heard=_newest(record.certificate_heard, event))
    if merged.certificate == known and mismatch is None:
        return Reduction(record)
    changed = replace(record, certificate=merged.certificate)
    if merged.certificate.valid_until != known.valid_until and changed.command is None:
        changed = replace(changed, next_deadline=policies.renewal.due_at(merged.certificate, record.device_id))
    reduction = Reduction(changed, (_certificate_entry(event, reasons.HISTORY_CONFIRMED, merged.certificate, known),))
    return _with_mismatch(reduction, event, mismatch)


def _newest(known: Heard | None, event: TwinReported) -> Heard:
    if known is not None and known.version >= event.version:
        return known
    return Heard(version=event.version, at=event.updated_at)


def _new_certificate(
    record: DeviceRecord, event: TwinReported, known: Certificate | None, belief: Belief, policies: Policies
) -> Reduction:
    certificate = belief.certificate
    renewed = known is not None and known.evidence is not Evidence.INFERRED
    changed = replace(
        record,
        certificate=certificate,
        certificate_heard=_newest(None, event),
        command=None,
        attempts=0,
        renewal_request=None,
        alerted=levels_that_outlive_a_certificate(record.alerted, record.onboarding_credential),
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
    entry = _certificate_entry(event, history, certificate, known)
    if renewed and record.command is not None:  # what asked for it; the device names nothing
        entry = replace(entry, details={**entry.details, "commandId": record.command.id})
    reduction = Reduction(telling(changed, alert), (entry,))
    return _with_mismatch(reduction, event, belief.mismatch)


def _with_mismatch(reduction: Reduction, event: TwinReported, mismatch: str | None) -> Reduction:
    """The contradiction goes into the history each time, and to operators once per certificate."""
    if mismatch is None:
        return reduction
    entry = replace(entry_of(event, reasons.HISTORY_MISMATCH), details={"mismatch": mismatch})
    record, history = reduction.record, (*reduction.history, entry)
    if AlertType.CERTIFICATE_EVIDENCE_MISMATCH in record.alerted:
        return Reduction(record, history)
    occasion = record.certificate.identity if record.certificate else event.event_id
    data = {**describe(record.certificate), "mismatch": mismatch}
    alert = device_alert(AlertType.CERTIFICATE_EVIDENCE_MISMATCH, record.device_id, occasion, event.enqueued_at, data)
    told = replace(record, alerted=(*record.alerted, AlertType.CERTIFICATE_EVIDENCE_MISMATCH))
    return Reduction(telling(told, alert), history)


def _certificate_entry(
    event: HeardEvent, kind: str, certificate: Certificate, before: Certificate | None
) -> HistoryEntry:
    details = {name: value for name, value in describe(certificate).items() if value is not None}
    if before is not None:
        details |= {f"before.{name}": value for name, value in describe(before).items() if value is not None}
    return replace(entry_of(event, kind), details=details)
