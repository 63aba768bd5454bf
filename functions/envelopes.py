"""From what the Event Hubs trigger hands over to envelopes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import azure.functions as func

from shared.domain.envelope import Envelope
from shared.domain.replays import as_first_sent

_UNKNOWN: Final[datetime] = datetime.min.replace(tzinfo=UTC)


def envelopes(events: Sequence[func.EventHubEvent], hub: str) -> list[Envelope]:
    """The events of one batch, all of one partition.

    The metadata is the whole batch's at every event, and is parsed anew at each look: it is read once.
    """
    if not events:
        return []
    metadata: Mapping[str, Any] = events[0].metadata or {}
    partition = str(_partition_context(metadata).get("PartitionId", ""))
    properties = metadata.get("PropertiesArray") or []
    system = metadata.get("SystemPropertiesArray") or []
    return [
        as_first_sent(
            Envelope(
                hub=hub,
                partition=partition,
                sequence_number=int(event.sequence_number or 0),
                enqueued_at=_aware(event.enqueued_time),
                body=event.get_body(),
                properties=_at(properties, place),
                system=_at(system, place),
            )
        )
        for place, event in enumerate(events)
    ]


def _partition_context(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    context = metadata.get("PartitionContext") or metadata.get("TriggerPartitionContext") or {}
    return context if isinstance(context, Mapping) else {}


def _at(members: Sequence[Any], place: int) -> Mapping[str, Any]:
    member = members[place] if place < len(members) else None
    return member if isinstance(member, dict) else {}  # of JSON: Mapping would take ten times as long to ask


def _aware(instant: datetime | None) -> datetime:
    """The host writes UTC without saying so."""
    if instant is None:
        return _UNKNOWN
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
