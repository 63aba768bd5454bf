"""Alerts that are about the fleet as a whole, or about an issuing CA, and not about one device."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from shared.domain.alerts import Alert

_FLEET_ALERTS: Final = uuid.UUID("7d1f6d0a-6a0e-5c60-9a37-0b7b2f1c9e54")


class FleetAlertType:
    """The CloudEvents types of these alerts, and that of an onboarding credential's end."""

    ONBOARDING_EXPIRING: Final = "Fleetcert.Onboarding.Expiring"
    ISSUER_EXPIRING: Final = "Fleetcert.Issuer.Expiring"
    ISSUER_ROTATED: Final = "Fleetcert.Issuer.Rotated"
    DIGEST: Final = "Fleetcert.Fleet.Digest"
    SWEEP_AT_CAPACITY: Final = "Fleetcert.Fleet.SweepAtCapacity"
    RECORDING_STALLED: Final = "Fleetcert.Fleet.RecordingStalled"
    DEAD_LETTER_GROWING: Final = "Fleetcert.Fleet.DeadLetterGrowing"
    POISON_GROWING: Final = "Fleetcert.Fleet.PoisonGrowing"


def fleet_alert(kind: str, occasion: str, time: datetime, data: Mapping[str, str | None]) -> Alert:
    """An alert with the subject `fleet`. `occasion` tells it from others of its kind, e.g. an hour."""
    return Alert(_identifier(kind, occasion), kind, "fleet", time, data)


def issuer_alert(kind: str, thumbprint: str, occasion: str, time: datetime, data: Mapping[str, str | None]) -> Alert:
    """An alert about a CA certificate, with the subject `issuers/{thumbprint}`."""
    identifier = _identifier(kind, f"{thumbprint}\n{occasion}")
    return Alert(identifier, kind, f"issuers/{thumbprint}", time, {"thumbprint": thumbprint, **data})


def hour_of(instant: datetime) -> str:
    """The occasion of what is told once an hour: `2026-11-23T10`."""
    return instant.strftime("%Y-%m-%dT%H")


def _identifier(kind: str, occasion: str) -> str:
    return str(uuid.uuid5(_FLEET_ALERTS, f"{kind}\n{occasion}"))
