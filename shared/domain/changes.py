"""What every event's effect is made of: a changed record, what its history gains, and what operators are told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.contracts import format_instant
from shared.domain import reasons
from shared.domain.alerts import Alert
from shared.domain.events import HeardEvent
from shared.domain.history import HistoryEntry
from shared.domain.policy import BeliefPolicy, RenewalPolicy
from shared.domain.record import Certificate, DeviceRecord, State


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


def new_record(event: HeardEvent, hub: str) -> DeviceRecord:
    """The record of a device that is heard of for the first time."""
    return DeviceRecord(
        device_id=event.device_id,
        registration_id=event.device_id,
        hub=hub,
        first_seen=event.enqueued_at,
        updated_at=event.enqueued_at,
        reason=reasons.NO_CERTIFICATE,
    )


def known_until(record: DeviceRecord, hub: str) -> datetime | None:
    """The service's time from which news of that hub are news.

    A creation ends whatever life another hub told of before it. A deletion in one hub says nothing of another: a device
    that moves is deleted in the old hub after it has reported in the new one, and the two hubs' events overtake each
    other.
    """
    counts = record.state is not State.RETIRED or record.hub in ("", hub)
    since = record.incarnation_since if counts else None
    instants = (record.twin_updated_at, since, record.deletions.get(hub))
    return max((i for i in instants if i is not None), default=None)


def next_life(record: DeviceRecord, hub: str, since: datetime | None = None) -> DeviceRecord:
    """The device id begins anew: the old life is history; containment outlives it, and starts over.

    since: when the new life was created, where that is known.
    """
    left = {**record.deletions}
    deleted_at = left.pop(hub, None)
    if record.hub == hub:
        deleted_at = record.incarnation_since
    elif record.state is State.RETIRED and record.incarnation_since is not None:
        left[record.hub] = record.incarnation_since
    return replace(
        without_a_certificate(record),
        hub=hub,
        incarnation=record.incarnation + 1,
        incarnation_since=since or deleted_at,
        deletions=left,
        version=0,
        twin_version=0,
        tags={},
        onboarding=None,
        onboarding_heard=None,
        containment=record.containment and record.containment.anew(),
    )


def born_late(record: DeviceRecord, since: datetime) -> DeviceRecord:
    """The present life turns out to have begun at `since`: what came from a life before it goes.

    Whoever was shut out before that was shut out in another identity, so the hub's steps have to be taken again.
    """
    begun = replace(record, incarnation_since=since)
    if record.certificate_heard is not None and record.certificate_heard.at < since:
        begun = without_a_certificate(begun)
    if record.onboarding_heard is not None and record.onboarding_heard.at < since:
        begun = replace(begun, onboarding=None, onboarding_heard=None)
    containment = record.containment
    if containment is not None and containment.hub_disabled_at is not None and containment.hub_disabled_at < since:
        begun = replace(begun, containment=containment.anew(), reason=reasons.CONTAINING, next_deadline=None)
    return begun


def without_a_certificate(record: DeviceRecord) -> DeviceRecord:
    """The record with nothing known of a certificate, nor of what was done about one."""
    return replace(
        record,
        state=State.DISABLED if record.containment else State.UNKNOWN,
        reason=reasons.CONTAINING if record.containment else reasons.NO_CERTIFICATE,
        certificate=None,
        certificate_heard=None,
        command=None,
        attempts=0,
        renewal_request=None,
        alerted=(),
        next_deadline=None,
    )


def telling(record: DeviceRecord, alert: Alert) -> DeviceRecord:
    """The record with an alert that has yet to leave."""
    return replace(record, pending=(*record.pending, alert))


def entry_of(event: HeardEvent, kind: str) -> HistoryEntry:
    """That this event did something of the kind."""
    return HistoryEntry(event_id=event.event_id, at=event.enqueued_at, kind=kind)


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
