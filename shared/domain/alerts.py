"""What operators are told, each thing once."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

_ALERTS: Final = uuid.UUID("5f0c2a2e-4b0e-5d1c-9d5e-6a1f3c7b8e21")


@dataclass(frozen=True, slots=True)
class Alert:
    """A CloudEvent to be. `id` is deterministic: receivers drop what they have seen of the same source and id."""

    id: str
    type: str
    subject: str
    time: datetime
    data: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Escalation:
    """New alerts, the levels that count as told with them, and when the next level comes (None: none is ahead)."""

    alerts: tuple[Alert, ...] = ()
    alerted: tuple[str, ...] = ()
    next_instant: datetime | None = None


def device_alert(
    kind: str, device_id: str, occasion: str, time: datetime, data: Mapping[str, str | None] | None = None
) -> Alert:
    """An alert about a device. `occasion` tells it from others of its kind, e.g. a thumbprint and a level."""
    identifier = str(uuid.uuid5(_ALERTS, f"{kind}\n{device_id}\n{occasion}"))
    return Alert(identifier, kind, f"devices/{device_id}", time, {"deviceId": device_id, **(data or {})})
