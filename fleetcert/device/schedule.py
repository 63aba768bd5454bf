"""When a device acts by itself: renewal before the end, and patience after a failure."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Final

from fleetcert.device.credential import Credential

SELF_RENEWAL_SHARE: Final = Fraction(4, 5)
"""The share of its life after which a certificate is renewed unasked (Azure docs: concept-certificate-renewal)."""
SPREAD: Final = Fraction(1, 20)
"""Devices that were made in one hour shall not all renew in one hour: up to this share of the life is added."""


def renewal_time(credential: Credential, share: Fraction = SELF_RENEWAL_SHARE) -> datetime:
    """When the device renews unasked. The jitter comes from the thumbprint: a restart does not draw it again."""
    lifetime = credential.not_after - credential.not_before
    jitter = Fraction(int(credential.thumbprint[:8], 16), 2**32) * SPREAD
    return credential.not_before + lifetime * float(share + jitter)


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
