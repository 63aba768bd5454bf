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

    A creation or deletion in one hub says nothing of another: a device that moves is deleted in the old hub after it
    has reported in the new one, and the two hubs' events overtake each other.
    """
    same_hub = record.hub in ("", hub)
    instants = (record.twin_updated_at, record.incarnation_since if same_hub else None)
    return max((i for i in instants if i is not None), default=None)


def next_life(record: DeviceRecord, hub: str) -> DeviceRecord:
    """The device id begins anew: the old life is history; containment outlives it, and starts over."""
    containment = record.containment
    return replace(
        record,
        hub=hub,
        incarnation=record.incarnation + 1,
        version=0,
        twin_version=0,
        tags={},
        state=State.DISABLED if containment else State.UNKNOWN,
        reason=reasons.CONTAINING if containment else reasons.NO_CERTIFICATE,
        certificate=None,
        onboarding=None,
        command=None,
        attempts=0,
        renewal_request=None,
        containment=containment and containment.anew(),
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
