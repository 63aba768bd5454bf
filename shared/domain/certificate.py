"""What is known of a device's certificates. All instants are aware datetimes in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.states import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """An operational certificate as far as the evidence goes.

    identity: what tells it from the device's other certificates: its thumbprint, else its dates as they were claimed.
    valid_until: the end that is believed; it never lies beyond what the evidence can bear.
    first_seen: when the cloud first heard of this certificate (the event's enqueued time).
    authority_key_id: the issuing CA's key, in hex; several CAs may bear one name.
    """

    identity: str
    valid_from: datetime
    valid_until: datetime
    evidence: Evidence
    first_seen: datetime
    thumbprint: str | None = None
    serial_number: str | None = None
    issuer: str | None = None
    authority_key_id: str | None = None
    key_algorithm: str | None = None

    @property
    def lifetime(self) -> timedelta:
        """From not-before to not-after."""
        return self.valid_until - self.valid_from


@dataclass(frozen=True, slots=True, kw_only=True)
class OnboardingCredential:
    """What a device shows to DPS. `pem`: the public certificate, which a DPS block needs."""

    thumbprint: str | None = None
    valid_until: datetime | None = None
    pem: str | None = None
