"""How long a demo's certificates live and how its devices start, so that a fleet of any size keeps to its time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SMALL: Final = 25
LARGE: Final = 200
_SHORT_LIFE: Final = 160
_LONG_LIFE: Final = 220
_STAGGER_SECONDS: Final = 0.1
_RENEWALS_PER_SECOND: Final = 3.1
"""Three quarters of what the app's budget allows (half of ADR's 500 issuances a minute): less is no queue."""
_SPREAD: Final = 1 / 12
"""The app spreads devices over the first quarter of the window, which is a third of the life."""


@dataclass(frozen=True, slots=True)
class Pace:
    """validity_seconds: of certificates. stagger_seconds: between the starts of two devices."""

    validity_seconds: int
    stagger_seconds: float

    @classmethod
    def of(cls, devices: int) -> Pace:
        """Two windows fit into the time of 25 devices. 200 come due over so long that the budget renews them in time.

        Who starts together comes due together: the start is what can be stretched.
        """
        share = min(1.0, max(0, devices - SMALL) / (LARGE - SMALL))
        validity = round(_SHORT_LIFE + share * (_LONG_LIFE - _SHORT_LIFE))
        stretched = (devices / _RENEWALS_PER_SECOND - validity * _SPREAD) / devices
        return cls(validity, round(max(_STAGGER_SECONDS, stretched), 3))
