"""What operators rule for the fleet: pauses of renewal commands, and suppressions of alerts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from shared.contracts import format_instant
from shared.schemas.requests import Choice, Instant, Reason, Tag

if TYPE_CHECKING:  # the services bring cryptography with them, which a cold start need not wait for
    from shared.domain.suppressing import Suppression


class PauseRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """Holds renewal commands back until `until`. tag: of these devices alone. A second pause replaces the first."""

    until: Instant
    reason: Reason
    tag: Tag | None = None


class ResumeRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """Ends the pause of the fleet, or of a tag, now."""

    reason: Reason
    tag: Tag | None = None


class SuppressRequest(Struct, forbid_unknown_fields=True, frozen=True, rename="camel"):
    """Does not tell alerts of a type (`*`: of every type) for a device, `tag:name=value` or `*`, until `until`."""

    alert_type: Choice
    device: Choice
    until: Instant
    reason: Reason


class RulingAnswer(Struct, frozen=True, rename="camel"):
    """What was ruled. id: of a suppression; None for a pause."""

    until: str | None
    id: str | None = None


def ruling(until: datetime | None, suppression: Suppression | None = None) -> RulingAnswer:
    """The answer to a ruling."""
    return RulingAnswer(format_instant(until) if until else None, suppression.id if suppression else None)
