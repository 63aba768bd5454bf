"""What time it is, as far as a device can know.

A device's clock may be wrong by years: no battery, no time service, a mistake of the factory. Nothing is ever thrown
away because of it (whether a certificate has ended is for the hub to say), but it also says when to renew. A
certificate that was issued a moment ago tells the time, and where the clock contradicts it, the certificate is right.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from fleetcert.device.ports import Timer
from shared.clock import Clock

TOLERANCE: Final = timedelta(minutes=5)
"""Issuers date certificates back by minutes, and answers take a while: neither is a wrong clock."""


class Reckoning:
    """The machine's clock, set right by what was issued until somebody sets the clock itself.

    earliest: an instant that has certainly passed, such as the beginning of the certificate in use.
    """

    def __init__(self, clock: Clock, timer: Timer, earliest: datetime | None) -> None:
        self._clock = clock
        self._timer = timer
        self._set(timedelta())
        if earliest and clock.now() < earliest - TOLERANCE:
            self._set(earliest - clock.now())

    def now(self) -> datetime:
        """The present instant, UTC, to the best of our knowledge."""
        wall = self._clock.now()
        passed = timedelta(seconds=self._timer() - self._timer_then)
        if abs(wall - self._wall_then - passed) > TOLERANCE:  # somebody has set the clock, and it counts again
            self._set(timedelta())
        return wall + self._correction

    @property
    def correction(self) -> timedelta:
        """What has to be added to the clock."""
        return self._correction

    def learn(self, issued_at: datetime, due_at: datetime) -> bool:
        """A certificate was issued just now that begins at one instant and is to be renewed at the other.

        Returns whether that proves the clock wrong.
        """
        wall = self._clock.now()
        is_plausible = issued_at - TOLERANCE <= wall and (wall < due_at or wall <= issued_at + TOLERANCE)
        self._set(timedelta() if is_plausible else issued_at - wall)
        return not is_plausible

    def _set(self, correction: timedelta) -> None:
        self._correction = correction
        self._wall_then, self._timer_then = self._clock.now(), self._timer()
