"""What happened to a device, who did it and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.record import FLEETCERT, Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One change. `event_id` makes it unique at its instant: writing it again changes nothing.

    details: what changed, small and public (before/after values; never a key).
    """

    event_id: str
    at: datetime
    kind: str
    actor: Actor = FLEETCERT
    reason: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
