"""What the hub's and DPS's own lists say of a device, and how a record is put right by them. Pure.

Lists are read long after the facts, so nothing here is news: what they say is ordered like any event, and operators are
told only of what is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from shared.contracts import AlertType
from shared.domain import reasons
from shared.domain.alerts import device_alert
from shared.domain.changes import Reduction, telling
from shared.domain.history import HistoryEntry
from shared.domain.record import DISPATCH_PATIENCE, Containment, DeviceRecord, State

SILENCE: Final = timedelta(hours=1)
"""How long a device that was found without a certificate may be silent before its twin is read again."""

_COUNTERS: Final = (
    "version",
    "twin_version",
    "twin_updated_at",
    "updated_at",
    "certificate_heard",
    "onboarding_heard",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentGroup:
    """An enrollment group of DPS. credential_policy: by which its devices are issued certificates (None: by none)."""

    id: str
    attestation: str
    credential_policy: str | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A device that DPS has assigned. hub: the name of the hub that it was assigned to.

    group: None for an individual enrollment. credential_policy: by which it is issued certificates (None: by none).
    """

    registration_id: str
    device_id: str
    hub: str
    group: str | None = None
    credential_policy: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Whose word it is: the pass of `reconcile` and its instant."""

    pass_id: str
    at: datetime

    def event_id(self, device_id: str) -> str:
        """The same however often a step of the pass is repeated."""
        return f"reconcile/{self.pass_id}/{device_id}"

    def entry(self, device_id: str, kind: str, **details: str) -> HistoryEntry:
        """That the pass did something of the kind."""
        return HistoryEntry(event_id=self.event_id(device_id), at=self.at, kind=kind, details=details)


def bare(device_id: str, hub: str, source: Source) -> Reduction:
    """A device that no event had told of, and whose twin says nothing that can be believed."""
    record = DeviceRecord(
        device_id=device_id,
        registration_id=device_id,
        hub=hub,
        first_seen=source.at,
        updated_at=source.at,
        reason=reasons.NO_CERTIFICATE,
        next_deadline=source.at + SILENCE,
    )
    return Reduction(record, (source.entry(device_id, reasons.HISTORY_FOUND),))


def newcomer(reduction: Reduction, source: Source) -> Reduction:
    """A device that no event had told of, as its twin shows it.

    A certificate that was reported long ago is not announced: a first installation would announce the whole fleet. One
    that was reported just now is: its event may still be on its way, and will be old news when it comes.
    """
    record = reduction.record
    if record.twin_updated_at is not None and source.at - record.twin_updated_at < SILENCE:
        return reduction
    pending = tuple(alert for alert in record.pending if alert.type != AlertType.CERTIFICATE_ISSUED)
    entries = [entry for entry in reduction.history if entry.kind != reasons.HISTORY_ISSUED]
    issued = [dict(entry.details) for entry in reduction.history if entry.kind == reasons.HISTORY_ISSUED]
    found = source.entry(record.device_id, reasons.HISTORY_FOUND, **(issued[0] if issued else {}))
    return Reduction(replace(record, pending=pending), (found, *entries))


def repair(before: DeviceRecord, reduction: Reduction | None, source: Source) -> Reduction | None:
    """The change that is worth a write: None where only the counters of versions differ.

    Most twins change for reasons that are none of ours, and a write for each of them would be the fleet's size a pass.
    """
    if reduction is None or reduction.history:
        return reduction
    after = reduction.record
    counters = {name: getattr(before, name) for name in _COUNTERS}
    if replace(after, **counters) == before:
        return None
    details = {"tags.before": _tags(before), "tags": _tags(after)} if after.tags != before.tags else {}
    return Reduction(after, (source.entry(after.device_id, reasons.HISTORY_RECONCILED, **details),))


def enrolled(record: DeviceRecord, registration: Registration, source: Source) -> Reduction | None:
    """The record with what DPS knows of its registration; None where nothing differs.

    Another registration id asks for a look at the twin: the certificate's subject is measured by it.
    """
    if record.state is State.RETIRED or record.hub.casefold() not in ("", registration.hub.casefold()):
        return None
    same_id = record.registration_id.casefold() == registration.registration_id.casefold()
    registration_id = record.registration_id if same_id else registration.registration_id
    changed = replace(
        record,
        registration_id=registration_id,
        enrollment_group=registration.group,
        issues_certificates=registration.credential_policy is not None,
    )
    if changed == record:
        return None
    details = {"registrationId": registration_id, "enrollmentGroup": registration.group or ""}
    before = {"before.registrationId": record.registration_id, "before.enrollmentGroup": record.enrollment_group or ""}
    entry = source.entry(record.device_id, reasons.HISTORY_RECONCILED, **details, **before)
    looks = not same_id and record.containment is None
    return Reduction(replace(changed, look_at=source.at if looks else record.look_at, updated_at=source.at), (entry,))


def is_shut_out(record: DeviceRecord) -> bool:
    """Whether the hub's identity of the device must be disabled by now."""
    containment = record.containment
    return containment is not None and containment.hub_disabled_at is not None and containment.release is None


def reopened(record: DeviceRecord, containment: Containment, is_blocked: bool, source: Source) -> Reduction:
    """Somebody else enabled the identity of a device that is shut out: it is shut out again, and operators are told.

    Containment ends by a word to fleetcert alone. Whoever enabled it may not have known, or may be the thief.
    """
    undone = containment.again(source.at)
    if not is_blocked:
        undone = replace(undone, block=None, blocked_at=None)
    contained = replace(
        record,
        state=State.DISABLED,
        reason=reasons.CONTAINING,
        containment=undone,
        dispatch_by=source.at + DISPATCH_PATIENCE,
        next_deadline=source.at + DISPATCH_PATIENCE,
        updated_at=source.at,
    )
    data = {"reason": "the identity was enabled elsewhere", "block": "kept" if is_blocked else "removed"}
    occasion = f"{containment.requested_at.isoformat()}/{source.pass_id}"
    alert = device_alert(AlertType.DEVICE_CONTAINMENT_UNVERIFIED, record.device_id, occasion, source.at, data)
    entry = source.entry(record.device_id, reasons.HISTORY_REENABLED, block=data["block"])
    return Reduction(telling(contained, alert), (entry,))


def leaving(reduction: Reduction, at: datetime) -> Reduction:
    """The change with a deadline for what has to leave."""
    record = reduction.record
    if not record.pending or record.dispatch_by is not None:
        return reduction
    return replace(reduction, record=replace(record, dispatch_by=at + DISPATCH_PATIENCE))


def _tags(record: DeviceRecord) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(record.tags.items()))[:512]
