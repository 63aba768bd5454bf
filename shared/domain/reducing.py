"""How an event changes a record. Pure and idempotent: replays and late arrivals change nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from shared.domain.changes import Policies, Reduction
from shared.domain.escalating import escalate
from shared.domain.events import (
    DeviceRegistered,
    DomainEvent,
    IdentityCreated,
    IdentityDeleted,
    RegistrationFailed,
    TagsChanged,
    TwinReported,
    TwinUnclear,
)
from shared.domain.identities import identity_created, identity_deleted
from shared.domain.policy import RenewalPolicy
from shared.domain.record import DeviceRecord, State
from shared.domain.registering import inferred, registered, registration_failed, unanswered
from shared.domain.reporting import twin_reported
from shared.domain.tagging import tags_changed

UNKNOWN_PATIENCE: Final = timedelta(hours=1)
"""How long a new identity may be silent before its twin is read."""


def reduce(record: DeviceRecord | None, event: DomainEvent, policies: Policies) -> Reduction | None:
    """The record after the event, or None where the event changes nothing.

    Raises: BadEvent where the event's content cannot be believed at all.
    """
    reduction = _reduce(record, event, policies)
    if reduction is None:
        return None
    settled = inferred(unanswered(reduction.record), policies)
    return replace(reduction, record=with_a_deadline(settled, event.enqueued_at, policies.renewal))


def _reduce(record: DeviceRecord | None, event: DomainEvent, policies: Policies) -> Reduction | None:
    match event:
        case TwinReported():
            return twin_reported(record, event, policies)
        case TagsChanged():
            return tags_changed(record, event)
        case IdentityCreated():
            return identity_created(record, event)
        case IdentityDeleted():
            return identity_deleted(record, event)
        case DeviceRegistered():
            return registered(record, event)
        case RegistrationFailed():
            return registration_failed(record, event)
        case TwinUnclear():
            raise TypeError(f"{event!r} must be resolved by reading the twin before it is reduced")


def with_a_deadline(record: DeviceRecord, at: datetime, policy: RenewalPolicy) -> DeviceRecord:
    """A record without a deadline would never be looked at again: only the retired and the contained may rest.

    No deadline lies beyond the next thing that operators must be told; what they must be told now is decided on now.
    """
    rests = record.state is State.RETIRED or (record.containment is not None and record.containment.is_verified)
    if rests:
        return record
    patience = timedelta() if record.containment is not None else UNKNOWN_PATIENCE
    deadline = record.next_deadline or at + patience
    escalation = escalate(record, at, policy)
    tell_at = at if escalation.alerts else escalation.next_instant
    return replace(record, next_deadline=min(deadline, tell_at) if tell_at else deadline)
