"""When a certificate is due, and how long one waits for an answer: relative to the certificate's own life."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Final

from cryptography import x509

from shared.domain.levels import ONBOARDING_LEVELS, Levels
from shared.domain.record import Certificate

MAX_COMMAND_LIFE: Final = timedelta(days=2)
"""No cloud-to-device message lives longer (Azure docs: IoT Hub devguide, messages-c2d)."""


@dataclass(frozen=True, slots=True)
class RenewalPolicy:
    """When a certificate is due, relative to its own life.

    A fixed window on a short certificate would be due for ever, so the window never exceeds a share of the lifetime.

    window: the widest window before expiry. share: the largest part of the lifetime that a window may take.
    spread: the first part of the window over which devices are spread. command_ttl: how long a first command lives.
    confirmation_grace: how long a registration may stay without a report of the certificate that it should have issued.
    onboarding_levels: how long before an onboarding credential's end people are told.
    """

    window: timedelta = timedelta(days=7)
    share: Fraction = Fraction(1, 3)
    spread: Fraction = Fraction(1, 4)
    command_ttl: timedelta = timedelta(hours=1)
    confirmation_grace: timedelta = timedelta(hours=1)
    onboarding_levels: Levels = ONBOARDING_LEVELS

    def window_of(self, certificate: Certificate) -> timedelta:
        """How long before its end this certificate wants renewal."""
        return min(self.window, _part(certificate.lifetime, self.share))

    def opens_at(self, certificate: Certificate) -> datetime:
        """The instant from which renewal is wanted."""
        return certificate.valid_until - self.window_of(certificate)

    def due_at(self, certificate: Certificate, device_id: str) -> datetime:
        """The instant at which this device is asked: the window's start plus an offset that is stable and its own.

        Certificates issued in one second would otherwise all be renewed in one second, life after life.
        """
        digest = hashlib.blake2b(f"{device_id}\n{certificate.identity}".encode(), digest_size=8).digest()
        place = Fraction(int.from_bytes(digest), 2**64)
        return self.opens_at(certificate) + _part(self.window_of(certificate), self.spread * place)

    def warns_at(self, certificate: Certificate) -> datetime:
        """`RenewalOverdue` as a warning: half of the window has passed."""
        return certificate.valid_until - self.window_of(certificate) / 2

    def escalates_at(self, certificate: Certificate) -> datetime:
        """`RenewalOverdue` as critical: a tenth of the window is left."""
        return certificate.valid_until - self.window_of(certificate) / 10

    def command_life(self, certificate: Certificate) -> timedelta:
        """How long one command lives: never so long that a window holds fewer than eight of them."""
        return min(self.command_ttl, self.window_of(certificate) / 8, MAX_COMMAND_LIFE)

    def patience(self, certificate: Certificate, attempt: int) -> timedelta:
        """How long an answer to the given attempt (1, 2, ...) is waited for: 1, 2, 4, ... command lives."""
        doublings: int = min(attempt - 1, 16)
        return self.command_life(certificate) * (1 << doublings)


@dataclass(frozen=True, slots=True)
class BeliefPolicy:
    """How far a device's word is taken.

    skew: how far its clock may be ahead of the service's. validity: the longest life that the issuing policy gives; a
    claim without proof never reaches further than this from when it was first seen. issuers: the issuing CAs that the
    hub trusts; a certificate that one of them signed is verified. require_pem: dates alone are not believed.
    """

    skew: timedelta = timedelta(minutes=5)
    validity: timedelta = timedelta(days=30)
    issuers: tuple[x509.Certificate, ...] = ()
    require_pem: bool = False


def _part(whole: timedelta, share: Fraction) -> timedelta:
    microseconds = whole // timedelta(microseconds=1)
    return timedelta(microseconds=int(microseconds * share))
