"""Instants as IoT Hub and DPS write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

NEVER: Final = "0001-01-01T00:00:00Z"
"""What IoT Hub gives where something has not happened yet."""


def precise(instant: datetime) -> str:
    """RFC 3339 in UTC with seven digits of the second's fraction, the resolution of .NET."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


def precise_or_never(instant: datetime | None) -> str:
    """The instant, or year 1 for None."""
    return NEVER if instant is None else precise(instant)
