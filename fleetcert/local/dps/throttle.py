"""The limit on registrations, as a sliding minute."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from http import HTTPStatus
from math import ceil
from typing import Final

from fleetcert.local.dps.errors import Refusal

WINDOW: Final = timedelta(minutes=1)


class Throttle:
    """Lets `per_minute` calls through in any minute; None switches it off.

    Azure's limit is 1,000 registrations a minute (Azure docs: iot-dps-limits).
    """

    def __init__(self, per_minute: int | None) -> None:
        self._per_minute = per_minute
        self._taken: deque[datetime] = deque()

    def take(self, now: datetime) -> None:
        """Counts one call. Raises: Refusal 429 that says when to come back."""
        if self._per_minute is None:
            return
        while self._taken and self._taken[0] <= now - WINDOW:
            self._taken.popleft()
        if len(self._taken) >= self._per_minute:
            wait = ceil((self._taken[0] + WINDOW - now).total_seconds())
            raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, "Operations are being throttled", retry_after=max(wait, 1))
        self._taken.append(now)
