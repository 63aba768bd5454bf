"""What the hub saw, for whoever checks the local Azure from outside: refusals, deliveries, certificates."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cryptography import x509

from fleetcert.certificates import thumbprint
from fleetcert.local.instants import precise

_REFUSALS_KEPT: Final = 100


@dataclass(slots=True)
class Observed:
    """What was seen of one device. `refusals` keeps the last 100 as (when, why)."""

    refusals: deque[tuple[datetime, str]] = field(default_factory=lambda: deque(maxlen=_REFUSALS_KEPT))
    messages: Counter[str] = field(default_factory=Counter)
    telemetry: int = 0
    last_certificate: x509.Certificate | None = None
    session_ends: deque[tuple[datetime, str]] = field(default_factory=lambda: deque(maxlen=_REFUSALS_KEPT))

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "refusals": _timed(self.refusals),
            "sessionEnds": _timed(self.session_ends),
            "cloudToDevice": {name: self.messages[name] for name in ("accepted", "delivered", "acknowledged")},
            "telemetry": self.telemetry,
            "certificate": None if self.last_certificate is None else describe(self.last_certificate),
        }


class Observations:
    """What was seen, by device id; ids that the hub does not know are seen too."""

    def __init__(self) -> None:
        self._devices: defaultdict[str, Observed] = defaultdict(Observed)

    def of(self, device_id: str) -> Observed:
        """What was seen of the device."""
        return self._devices[device_id]

    def document(self) -> dict[str, Any]:
        """Device id to what was seen of it."""
        return {device_id: observed.document() for device_id, observed in sorted(self._devices.items())}


def describe(certificate: x509.Certificate) -> dict[str, str]:
    """A certificate by its SHA-256 thumbprint and its validity."""
    return {
        "thumbprint": thumbprint(certificate),
        "notBefore": precise(certificate.not_valid_before_utc),
        "notAfter": precise(certificate.not_valid_after_utc),
    }


def _timed(entries: deque[tuple[datetime, str]]) -> list[dict[str, str]]:
    return [{"time": precise(when), "reason": reason} for when, reason in entries]
