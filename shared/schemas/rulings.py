"""What operators rule for the fleet: pauses of renewal commands, and suppressions of alerts."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from shared.contracts import format_instant
from shared.schemas.answers import ActorAnswer, actor_answer
from shared.schemas.requests import Choice, Instant, Malformed, Reason, Tag

if TYPE_CHECKING:  # the services bring cryptography with them, which a cold start need not wait for
    from collections.abc import Sequence

    from shared.domain.circumstances import Pause
    from shared.domain.suppressing import Suppression

SUPPRESSION_ID_GRAMMAR: Final = "[a-z0-9-]{1,64}"


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


class LiftRequest(Struct, forbid_unknown_fields=True, frozen=True):
    """Ends a suppression now: its alerts are told again."""

    reason: Reason


class RulingAnswer(Struct, frozen=True, rename="camel"):
    """What was ruled. until: null where something was ended. id: of the pause or suppression; null for a resume."""

    until: str | None
    id: str | None = None


class PauseAnswer(Struct, frozen=True, rename="camel"):
    """A pause that stands. tag: of these devices alone; null: of the fleet."""

    id: str
    tag: str | None
    until: str
    actor: ActorAnswer
    reason: str
    ruled_at: str


class SuppressionAnswer(Struct, frozen=True, rename="camel"):
    """A suppression that stands. alert_type, device: as they were asked for. ruled_at: null where it was not kept."""

    id: str
    alert_type: str
    device: str
    until: str
    actor: ActorAnswer
    reason: str
    ruled_at: str | None


class RulingsAnswer(Struct, frozen=True):
    """What stands now, the one that ends first in front."""

    pauses: list[PauseAnswer]
    suppressions: list[SuppressionAnswer]


def suppression_id(text: str | None) -> str:
    """A suppression's id as the API gives it. Raises: Malformed."""
    if text is None or not re.fullmatch(SUPPRESSION_ID_GRAMMAR, text):
        raise Malformed("a suppression's id has 1 to 64 of a-z 0-9 and the hyphen")
    return text


def ruling(until: datetime | None, identifier: str | None = None) -> RulingAnswer:
    """The answer to a ruling."""
    return RulingAnswer(format_instant(until) if until else None, identifier)


def rulings_answer(pauses: Sequence[Pause], suppressions: Sequence[Suppression]) -> RulingsAnswer:
    """What stands, as callers see it."""
    return RulingsAnswer([_pause(pause) for pause in pauses], [_suppression(one) for one in suppressions])


def _pause(pause: Pause) -> PauseAnswer:
    return PauseAnswer(
        id=pause.id,
        tag=pause.tag,
        until=format_instant(pause.until),
        actor=actor_answer(pause.actor),
        reason=pause.reason,
        ruled_at=format_instant(pause.ruled_at),
    )


def _suppression(suppression: Suppression) -> SuppressionAnswer:
    return SuppressionAnswer(
        id=suppression.id,
        alert_type=suppression.alert_type,
        device=suppression.device,
        until=format_instant(suppression.until),
        actor=actor_answer(suppression.actor),
        reason=suppression.reason,
        ruled_at=format_instant(suppression.ruled_at) if suppression.ruled_at else None,
    )
