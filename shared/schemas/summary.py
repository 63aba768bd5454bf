"""What `GET fleet/summary` answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from shared.contracts import format_instant

if TYPE_CHECKING:  # the services bring cryptography with them, which a cold start need not wait for
    from shared.domain.snapshot import Tally
    from shared.services.summaries import Summary


class ReasonAnswer(Struct, frozen=True):
    """A reason and how many devices have it."""

    reason: str
    count: int


class RenewalsAnswer(Struct, frozen=True):
    """A day (UTC) and how many devices come into their renewal window on it."""

    day: str
    count: int


class SnapshotAnswer(Struct, frozen=True, rename="camel"):
    """The fleet as it was at `as_of`; retired devices are not in it.

    expiry: how many certificates end within a day, a week, ... (each device in one of them).
    """

    as_of: str
    total: int
    states: dict[str, int]
    top_reasons: list[ReasonAnswer]
    expiry: dict[str, int]
    renewals: list[RenewalsAnswer]


class DueAnswer(Struct, frozen=True, rename="camel"):
    """A device on which something must be decided today."""

    device_id: str
    due_at: str


class SummaryAnswer(Struct, frozen=True, rename="camel"):
    """snapshot: null until the first was taken. due: live, at most 100; more_due: there are others."""

    snapshot: SnapshotAnswer | None
    due: list[DueAnswer]
    more_due: bool


def summary_answer(summary: Summary) -> SummaryAnswer:
    """A summary as callers see it."""
    return SummaryAnswer(
        snapshot=_snapshot(summary.snapshot) if summary.snapshot else None,
        due=[DueAnswer(line.device_id, format_instant(line.due_at)) for line in summary.due],
        more_due=summary.more_due,
    )


def _snapshot(tally: Tally) -> SnapshotAnswer:
    return SnapshotAnswer(
        as_of=format_instant(tally.at),
        total=tally.total,
        states=dict(sorted(tally.states.items())),
        top_reasons=[ReasonAnswer(reason, count) for reason, count in tally.top_reasons()],
        expiry=tally.histogram(),
        renewals=[RenewalsAnswer(day, count) for day, count in tally.days_ahead()],
    )
