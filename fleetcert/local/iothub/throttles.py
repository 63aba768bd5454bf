"""The hub's throttles (Azure docs: IoT Hub quotas and throttling, one S1 unit)."""

from __future__ import annotations

import math
from collections import deque
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from fleetcert.local.iothub.errors import ThrottledRequest
from shared.clock import Clock

_WINDOW: Final = timedelta(minutes=1)


class Throttle(Enum):
    """A throttled kind of operation: its name, and how many a minute pass."""

    CLOUD_TO_DEVICE = ("cloud-to-device sends", 100)
    REGISTRY = ("identity registry operations", 100)
    QUERY = ("queries", 20)


class Throttles:
    """Sliding windows of one minute. Switched off, everything passes."""

    def __init__(self, clock: Clock, *, enabled: bool) -> None:
        self._clock = clock
        self._enabled = enabled
        self._passed: dict[Throttle, deque[datetime]] = {throttle: deque() for throttle in Throttle}

    def check(self, throttle: Throttle) -> None:
        """Counts one operation. Raises: ThrottledRequest."""
        if not self._enabled:
            return
        name, limit = throttle.value
        now, passed = self._clock.now(), self._passed[throttle]
        while passed and passed[0] <= now - _WINDOW:
            passed.popleft()
        if len(passed) >= limit:
            raise ThrottledRequest(name, math.ceil((passed[0] + _WINDOW - now).total_seconds()))
        passed.append(now)
