"""The fleet in numbers: counts that are added up line by line. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

from shared.contracts import format_instant, parse_instant
from shared.domain.policy import RenewalPolicy
from shared.domain.record import Certificate, Evidence, State

DAYS_AHEAD: Final = 30
TOP_REASONS: Final = 10
BUCKETS: Final = ((0, "expired"), (1, "1d"), (7, "7d"), (30, "30d"), (90, "90d"))
"""Days left -> the name of those who have at most so many."""
LATER: Final = "later"
NONE: Final = "none"

_ASKED: Final = frozenset({State.VALID, State.DUE, State.DISPATCHING, State.COMMANDED, State.OVERDUE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A device as lists show it. valid_from None: not known."""

    state: str
    reason: str
    valid_until: datetime | None
    valid_from: datetime | None


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts as of `at`. renewals: by the day (UTC, ISO 8601) on which the renewal window opens.

    earliest: when the next certificate ends that a device in the fleet uses; None where there is none.
    """

    at: datetime
    total: int = 0
    states: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    expiry: Counter[str] = field(default_factory=Counter)
    renewals: Counter[str] = field(default_factory=Counter)
    earliest: datetime | None = None

    def add(self, line: Line, policy: RenewalPolicy, validity: timedelta) -> None:
        """Counts a device. validity: the life of a certificate whose beginning is not known."""
        self.total += 1
        self.states[line.state] += 1
        self.reasons[line.reason] += 1
        self.expiry[_bucket(line.valid_until, self.at)] += 1
        if line.valid_until is not None and line.state in _ASKED and line.valid_until > self.at:
            self.earliest = min(self.earliest or line.valid_until, line.valid_until)
        day = self._renewal_day(line, policy, validity)
        if day is not None:
            self.renewals[day.isoformat()] += 1

    def days_ahead(self) -> list[tuple[str, int]]:
        """Day and renewals, for each of the thirty days from today on; what is open already counts as today."""
        days = [(self.at.date() + timedelta(days=n)).isoformat() for n in range(DAYS_AHEAD)]
        return [(day, self.renewals[day]) for day in days]

    def histogram(self) -> dict[str, int]:
        """How many expire by when: every bucket, in order."""
        return {name: self.expiry[name] for name in (*(name for _, name in BUCKETS), LATER, NONE)}

    def top_reasons(self) -> list[tuple[str, int]]:
        """The ten that most devices have."""
        return sorted(self.reasons.items(), key=lambda item: (-item[1], item[0]))[:TOP_REASONS]

    def _renewal_day(self, line: Line, policy: RenewalPolicy, validity: timedelta) -> date | None:
        if line.valid_until is None or line.state not in _ASKED:
            return None
        certificate = Certificate(
            identity="",
            valid_from=line.valid_from or line.valid_until - validity,
            valid_until=line.valid_until,
            evidence=Evidence.REPORTED,
            first_seen=self.at,
        )
        day = max(policy.opens_at(certificate), self.at).date()
        return day if day < self.at.date() + timedelta(days=DAYS_AHEAD) else None

    def to_document(self) -> dict[str, Any]:
        """As JSON values."""
        counts = {name: dict(getattr(self, name)) for name in ("states", "reasons", "expiry", "renewals")}
        earliest = format_instant(self.earliest) if self.earliest else None
        return {"at": format_instant(self.at), "total": self.total, "earliest": earliest, **counts}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Tally:
        """From JSON values that `to_document` gave."""
        counts = {name: Counter(document[name]) for name in ("states", "reasons", "expiry", "renewals")}
        earliest = document.get("earliest")  # a snapshot of an earlier version has none
        return cls(
            at=parse_instant(document["at"]),
            total=document["total"],
            earliest=parse_instant(earliest) if earliest else None,
            **counts,
        )


def _bucket(valid_until: datetime | None, at: datetime) -> str:
    if valid_until is None:
        return NONE
    left = valid_until - at
    return next((name for days, name in BUCKETS if left <= timedelta(days=days)), LATER)
