"""When a device acts by itself: renewal before the end, and patience after a failure."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Final

from fleetcert.device.ports import Operational
from shared.errors import FleetcertError, Throttled

SELF_RENEWAL_SHARE: Final = Fraction(4, 5)
"""The share of its life after which a certificate is renewed unasked (Azure docs: concept-certificate-renewal)."""
SPREAD: Final = Fraction(1, 20)
"""Devices that were made in one hour shall not all renew in one hour: up to this share of the life is added."""


def renewal_time(certificate: Operational, share: Fraction = SELF_RENEWAL_SHARE) -> datetime:
    """When the device renews unasked. The jitter comes from the thumbprint: a restart does not draw it again."""
    lifetime = certificate.not_after - certificate.not_before
    jitter = Fraction(int(certificate.thumbprint[:8], 16), 2**32) * SPREAD
    return certificate.not_before + lifetime * float(share + jitter)


def with_jitter(delay: timedelta) -> timedelta:
    """The delay and up to a quarter more, so that a fleet that was told the same second does not return in it."""
    return delay * (1 + random.random() / 4)  # noqa: S311 - spreads load, hides nothing


@dataclass(slots=True)
class Backoff:
    """Growing pauses: `first`, twice that, and so on up to `cap`; each shortened by up to half, at random."""

    first: timedelta = timedelta(seconds=1)
    cap: timedelta = timedelta(minutes=15)
    random: random.Random = field(default_factory=random.Random, repr=False)
    failures: int = 0

    def next(self) -> timedelta:
        """The pause after one more failure."""
        whole = min(self.cap, self.first * float(2 ** min(self.failures, 24)))
        self.failures += 1
        return whole * (0.5 + self.random.random() / 2)

    def reset(self) -> None:
        """It works again."""
        self.failures = 0


def patience(problem: FleetcertError, backoff: Backoff) -> timedelta:
    """The pause after this problem: the backoff's, or longer where a service asked for it."""
    pause = backoff.next()
    return max(pause, problem.retry_after) if isinstance(problem, Throttled) else pause
