"""What operators must be told as a certificate's end comes nearer, whatever the rules decide: each level once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Final

from shared.contracts import AlertType
from shared.domain.alerts import Alert, Escalation, device_alert
from shared.domain.changes import describe
from shared.domain.onboarding_watch import watch_onboarding
from shared.domain.policy import RenewalPolicy
from shared.domain.record import Certificate, DeviceRecord, Evidence

DUE: Final = "due"
WARNING: Final = "warning"
CRITICAL: Final = "critical"
EXPIRED: Final = "expired"
UNCONFIRMED: Final = "unconfirmed"


@dataclass(frozen=True, slots=True)
class _Level:
    name: str
    kind: str
    at: datetime
    data: Mapping[str, str | None]


def escalate(record: DeviceRecord, now: datetime, policy: RenewalPolicy) -> Escalation:
    """What the certificate's life calls for now. Whoever missed levels hears the highest of them alone."""
    certificate = record.certificate
    if certificate is None or record.containment is not None:
        return Escalation()
    return _combined(
        (
            _escalation(record, certificate, now, list(_overdue_levels(record, certificate, policy))),
            _escalation(record, certificate, now, list(_confirmation_levels(record, certificate, policy))),
            watch_onboarding(record, now, policy.onboarding_levels),  # without it nobody comes back after expiry
        )
    )


def _combined(escalations: Iterable[Escalation]) -> Escalation:
    """All of them as one."""
    found = list(escalations)
    instants = [e.next_instant for e in found if e.next_instant is not None]
    return Escalation(
        tuple(chain.from_iterable(e.alerts for e in found)),
        tuple(chain.from_iterable(e.alerted for e in found)),
        min(instants, default=None),
    )


def _overdue_levels(record: DeviceRecord, certificate: Certificate, policy: RenewalPolicy) -> Iterator[_Level]:
    """From the flag that the device has come into its window to its end."""
    data = {"attempts": str(record.attempts)}
    yield _Level(DUE, AlertType.CERTIFICATE_RENEWAL_DUE, policy.due_at(certificate, record.device_id), {})
    yield _Level(WARNING, AlertType.CERTIFICATE_RENEWAL_OVERDUE, policy.warns_at(certificate), data)
    yield _Level(CRITICAL, AlertType.CERTIFICATE_RENEWAL_OVERDUE, policy.escalates_at(certificate), data)
    yield _Level(EXPIRED, AlertType.CERTIFICATE_EXPIRED, certificate.valid_until, data)


def _confirmation_levels(record: DeviceRecord, certificate: Certificate, policy: RenewalPolicy) -> Iterator[_Level]:
    """A registration that should have issued a certificate, and no device reported one."""
    if certificate.evidence is Evidence.INFERRED and record.issues_certificates:
        at = certificate.first_seen + policy.confirmation_grace
        yield _Level(UNCONFIRMED, AlertType.CERTIFICATE_ISSUANCE_UNCONFIRMED, at, {})


def _escalation(record: DeviceRecord, certificate: Certificate, now: datetime, levels: list[_Level]) -> Escalation:
    passed = [level for level in levels if level.at <= now and level.name not in record.alerted]
    return Escalation(
        tuple(_alert(record, certificate, level, now) for level in passed[-1:]),
        tuple(level.name for level in passed),
        min((level.at for level in levels if level.at > now), default=None),
    )


def _alert(record: DeviceRecord, certificate: Certificate, level: _Level, now: datetime) -> Alert:
    data = {**describe(certificate), **level.data, "level": level.name}
    alert = device_alert(level.kind, record.device_id, f"{certificate.identity}/{level.name}", level.at, data)
    return replace(alert, time=now)
